"""Who may work at the desk, and as what: who started it, or those whom a file names."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import re
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Protocol

from vsv_pyramid.errors import OptionError, StoreError
from vsv_pyramid.layout import bounds
from vsv_pyramid.review import typed
from vsv_pyramid.store import edits
from vsv_pyramid.store.directory import PrivateStore
from vsv_pyramid.web.tries import Tries

_log = logging.getLogger(__name__)

VIEW, EDIT, SEND = ROLES = ("view", "edit", "send")  # each may do what those before it may, too
SHORTEST_TOKEN = 12  # characters
_LONGEST_TOKEN = 1024
_LINE = re.compile(r"([^:]+):(\$argon2id\$[^:\s]+)(?::(view|edit|send))?")
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$YW5vdGhlciBzYWx0ISE$" + 43 * "A"


@dataclass(frozen=True)
class Person:
    """Somebody with a name and a role, and what is known of the secret they enter with."""

    name: str
    role: str
    secret: str

    def may(self, role: str) -> bool:
        """Whether this role is theirs, or is within theirs."""
        return ROLES.index(role) <= ROLES.index(self.role)


class Wait(Exception):
    """There were too many wrong tries: the next may come after so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class People(Protocol):
    """Those who may enter. Both methods raise OptionError where it cannot be known who may."""

    asks: str  # the sentence for who does not say who it is
    key: str  # of the address that lets somebody in; empty where a browser asks for name and token

    def named(self, name: str) -> Person | None:
        """The person of that name."""

    def entering(self, name: str, secret: str, address: str) -> Person | None:
        """The person who has this secret, None where it is wrong; raises Wait, too."""


class Owner:
    """Who started the desk, and may do all; their secret is new each time, and in the address that
    the command prints."""

    asks = "Open the address that the command has printed: it has the key to this desk."

    def __init__(self, name: str) -> None:
        self.key = secrets.token_urlsafe(32)
        self._person = Person(typed.name(name), SEND, self.key)

    def named(self, name: str) -> Person | None:
        return self._person if name == self._person.name else None

    def entering(self, name: str, secret: str, address: str) -> Person | None:
        is_right = hmac.compare_digest(secret.encode(), self.key.encode())
        return self._person if is_right else None


class TokenFile:
    """The people of a file with a line NAME:HASH:ROLE for each, as `add` makes it; without a role
    it is EDIT. What is changed in the file counts at once. Raises OptionError where it has others.
    """

    asks = "Give your name, and your token as password."
    key = ""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tries = Tries()
        self._read: tuple[object, dict[str, Person]] = (None, {})
        self._turn = threading.Lock()  # a hash takes 64 MB
        if not self._people():
            raise OptionError(f"{path} names nobody; {_how(path)}")

    def named(self, name: str) -> Person | None:
        return self._people().get(name)

    def entering(self, name: str, secret: str, address: str) -> Person | None:
        with self._turn:
            try:
                name = typed.name(name)
            except OptionError:
                name = ""
            tried = name, _network(address)
            if seconds := self._tries.wait(*tried):
                raise Wait(seconds)
            person = self.named(name)
            # Who is not there takes as long as who is.
            if _is_right(person.secret if person else _NOBODY, secret) and person:
                self._tries.came(*tried)
                return person
            self._tries.failed(*tried)
        who = repr(name) if person else "a name that the file has not"  # it may be the token
        _log.warning("the desk: a wrong token from %s, for %s", address, who)
        return None

    def _people(self) -> dict[str, Person]:
        try:
            stat = self._path.stat()
            if not S_ISREG(stat.st_mode):  # to open a pipe may take for ever
                raise OptionError(f"{self._path} is no file; {_how('FILE')}")
            version = stat.st_ino, stat.st_mtime_ns, stat.st_size
            if version != self._read[0]:
                self._read = version, _parsed(self._path, bounds.small_file(self._path))
        except OSError as exc:
            raise OptionError(
                f"{self._path} cannot be read ({exc.strerror}); check the path"
            ) from exc
        return self._read[1]


def add(path: Path, name: str, role: str, token: str | None = None) -> tuple[str, bool]:
    """Gives the person of that name a line in the file, which is made where there is none; and
    returns their token, a new one where none is given, and whether an earlier one was replaced.
    Raises OptionError and StoreError."""
    from argon2 import PasswordHasher  # late: few commands need it

    name = _checked(typed.name(name))
    token = secrets.token_urlsafe(18) if token is None else typed.checked("the token", token)
    if not SHORTEST_TOKEN <= len(token) <= _LONGEST_TOKEN:
        raise OptionError(
            f"a token has {SHORTEST_TOKEN} to {_LONGEST_TOKEN:,} characters; give such a one"
        )
    line = f"{name}:{PasswordHasher().hash(token)}:{role}"
    had = False

    def edit(data: bytes | None) -> bytes:
        nonlocal had
        people = _parsed(path, data or b"")
        had = name in people
        lines = (data or b"").decode("utf-8-sig").splitlines()
        kept = [each for each in lines if _name(each) != name]
        return "".join(f"{each}\n" for each in [*kept, line]).encode()

    if path.is_dir():
        raise StoreError(path, "is a folder; give the name of a file")
    store = PrivateStore(path.absolute().parent)
    if not store.root.is_dir():
        raise StoreError(path, "its folder is not there; check the path")
    edits.edit(store, path.name, str(path), edit)
    return token, had


def _name(line: str) -> str | None:
    found = _LINE.fullmatch(line.strip())
    return typed.name(found[1]) if found else None


def _checked(name: str) -> str:
    if ":" in name or name.startswith("#"):
        raise OptionError(f"the name {name!r} is refused; give one without ':' and '#'")
    return name


def _parsed(path: Path, data: bytes) -> dict[str, Person]:
    """The people by name. Says of no line what is in it: it may be a token."""
    try:
        lines = data.decode("utf-8-sig").splitlines()  # Notepad begins with a BOM
    except UnicodeDecodeError as exc:
        raise OptionError(f"{path} is no text; {_how(path)}") from exc
    people: dict[str, Person] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if not found:
            raise OptionError(
                f"{path}: line {number} is not NAME:HASH:ROLE; one token for all, as earlier "
                f"releases had it, is not taken any more: {_how('FILE')}, with a new FILE"
            )
        name = typed.name(found[1])
        if name in people:
            raise OptionError(f"{path}: line {number} has the name of another line; remove one")
        people[name] = Person(name, found[3] or EDIT, found[2])
    return people


def _how(path: Path | str) -> str:
    return f"give each person a line by vsv-pyramid desk add-user NAME --token-file {path}"


def _is_right(made: str, secret: str) -> bool:
    from argon2 import PasswordHasher
    from argon2.exceptions import VerificationError

    if len(secret) > _LONGEST_TOKEN:
        return False
    try:
        return PasswordHasher().verify(made, secret)
    except (VerificationError, ValueError):  # of a hash that is none, of half a character
        return False


def _network(address: str) -> str:
    """The address, or the network of one in IPv6, of which a machine may have many."""
    try:
        whole = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(whole.ipv4_mapped or ipaddress.IPv6Network((whole, 64), strict=False))
