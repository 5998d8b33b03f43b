"""Who may work at the desk: the people of a token file, and what wrong tries lead to."""

from __future__ import annotations

import base64
import logging
import os
import re
import stat
import sys
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from tests.support.clock import FakeClock
from vsv_pyramid.errors import OptionError, StoreError
from vsv_pyramid.web import people, tries
from vsv_pyramid.web.people import Owner, Person, TokenFile, Wait

TOKEN = "correct-horse-battery"
HASH = (  # of it, and quick to check
    "$argon2id$v=19$m=8,t=1,p=1$YSBzYWx0IGZvciB0ZXN0cw$I7gYRW8VUj+2Vjk88qnY43IhgNeyJsZ8sjnBUDVGGnY"
)
ADDRESS = "192.0.2.7"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's hash is as quick to check as these are."""
    monkeypatch.setattr(people, "_NOBODY", HASH)


def token_file(path: Path, **roles: str) -> TokenFile:
    """Of these people, each with the TOKEN."""
    path.write_text("".join(f"{name}:{HASH}:{role}\n" for name, role in roles.items()))
    return TokenFile(path)


def basic(name: str, token: str = TOKEN) -> str:
    return "Basic " + base64.b64encode(f"{name}:{token}".encode()).decode()


def test_roles_are_within_each_other() -> None:
    may = {role: [each for each in people.ROLES if Person("a", role, "").may(each)]
           for role in people.ROLES}  # fmt: skip
    assert may == {"view": ["view"], "edit": ["view", "edit"], "send": ["view", "edit", "send"]}


def test_the_owner_has_another_key_each_time() -> None:
    one, other = Owner("anna"), Owner("anna")
    assert one.key != other.key
    assert len(one.key) >= 43  # 256 bits
    person = one.entering("", one.key, ADDRESS)
    assert person == one.named("anna")
    assert person and person.may("send")
    for wrong in ("", other.key, one.key[:-1], one.key + "x", "é"):
        assert one.entering("", wrong, ADDRESS) is None
    assert one.named("ben") is None


def test_a_token_file(tmp_path: Path) -> None:
    path = tmp_path / "people"
    path.write_text(f"# of the lab\n\nanna:{HASH}:send\n Dr. Müller:{HASH}\n", encoding="utf-8")
    file = TokenFile(path)
    anna, other = (file.entering(name, TOKEN, ADDRESS) for name in ("anna", "Dr. Mu\u0308ller"))
    assert anna and (anna.name, anna.role) == ("anna", "send")
    assert other and (other.name, other.role) == ("Dr. Müller", "edit")
    for name, token in (("anna", "x"), ("anna", ""), ("anna", HASH), ("anna", 2000 * "x"),
                        ("", TOKEN), ("ben", TOKEN), ("a\x1bb", TOKEN)):  # fmt: skip
        assert TokenFile(path).entering(name, token, ADDRESS) is None


def test_a_token_file_of_notepad(tmp_path: Path) -> None:
    path = tmp_path / "people"
    path.write_text(f"anna:{HASH}:send\n", encoding="utf-8-sig")
    assert TokenFile(path).entering("anna", TOKEN, ADDRESS)
    people.add(path, "ben", "view")
    assert path.read_bytes().startswith(b"anna:")
    assert TokenFile(path).named("ben")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "names nobody; give each person a line by vsv-pyramid desk add-user"),
        ("one-token-for-all\n", "line 1 is not NAME:HASH:ROLE; one token for all"),
        ("# so\nanna:one-token-for-all\n", "line 2 is not NAME:HASH:ROLE"),
        (f"anna:{HASH}:boss\n", "line 1 is not NAME:HASH:ROLE"),
        (f":{HASH}:view\n", "line 1 is not NAME:HASH:ROLE"),
        (f"anna:{HASH}\nanna :{HASH}\n", "line 2 has the name of another line"),
        (f"an\u202ena:{HASH}\n", "the name has a character that is not seen"),
        (f"{65 * 'a'}:{HASH}\n", "a name has 1 to 64 characters"),
    ],
)
def test_token_files_that_are_none(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "people"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(OptionError, match=sentence) as raised:
        TokenFile(path)
    assert "one-token" not in str(raised.value).replace("one token", "")
    assert HASH not in str(raised.value)


def test_what_is_changed_in_the_file_counts_at_once(tmp_path: Path) -> None:
    file = token_file(tmp_path / "people", anna="send", ben="view")
    assert file.named("ben")
    (tmp_path / "people").write_text(f"anna:{HASH}:view\n")
    assert file.named("ben") is None
    assert file.entering("ben", TOKEN, ADDRESS) is None
    anna = file.named("anna")
    assert anna and anna.role == "view"
    (tmp_path / "people").unlink()
    with pytest.raises(OptionError, match="cannot be read"):
        file.named("anna")


class TestWrongTries:
    """They make whoever tries wait, by name and by address, and are told of."""

    def test_a_wait_grows_and_ends(self, tmp_path: Path, clock: FakeClock) -> None:
        file = token_file(tmp_path / "people", anna="send")
        for _ in range(tries.FREE):
            assert file.entering("anna", "wrong", ADDRESS) is None
        waits = []
        for _ in range(9):
            with pytest.raises(Wait) as raised:  # even for who knows the token
                file.entering("anna", TOKEN, ADDRESS)
            waits.append(raised.value.seconds)
            clock.advance(raised.value.seconds)
            assert file.entering("anna", "wrong", ADDRESS) is None
        assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
        clock.advance(60)
        assert file.entering("anna", TOKEN, ADDRESS)

    def test_by_name_from_everywhere(self, tmp_path: Path, clock: FakeClock) -> None:
        file = token_file(tmp_path / "people", anna="send", ben="send")
        for number in range(tries.FREE):
            file.entering("anna", "wrong", f"192.0.2.{number}")
        with pytest.raises(Wait):
            file.entering("anna", TOKEN, "198.51.100.1")
        assert file.entering("ben", TOKEN, "198.51.100.1")

    def test_by_address_for_all_names(self, tmp_path: Path, clock: FakeClock) -> None:
        file = token_file(tmp_path / "people", anna="send")
        for number in range(tries.FREE):
            file.entering(f"name {number}", "wrong", f"2001:db8::{number}")  # of one network
        with pytest.raises(Wait):
            file.entering("anna", TOKEN, "2001:db8::99")
        assert file.entering("anna", TOKEN, "2001:db8:0:1::1")

    def test_by_an_address_that_ipv6_wraps(self, tmp_path: Path, clock: FakeClock) -> None:
        """As a server at `::` sees whoever comes by IPv4."""
        file = token_file(tmp_path / "people", anna="send")
        for number in range(tries.FREE):
            file.entering(f"name {number}", "wrong", "::ffff:192.0.2.1")
        with pytest.raises(Wait):
            file.entering("anna", TOKEN, "::ffff:192.0.2.1")
        assert file.entering("anna", TOKEN, "::ffff:192.0.2.2")

    def test_a_right_one_ends_it_for_the_name(self, tmp_path: Path, clock: FakeClock) -> None:
        file = token_file(tmp_path / "people", anna="send")
        for number in range(3 * tries.FREE):
            if number % tries.FREE == tries.FREE - 1:
                assert file.entering("anna", TOKEN, f"192.0.2.{number}")
            else:
                assert file.entering("anna", "wrong", f"192.0.2.{number}") is None

    def test_who_came_before_does_not_wait_for_others(
        self, tmp_path: Path, clock: FakeClock
    ) -> None:
        """Or whoever goes on guessing could keep somebody out."""
        file = token_file(tmp_path / "people", anna="send")
        assert file.entering("anna", TOKEN, ADDRESS)
        for number in range(tries.FREE):
            file.entering("anna", "wrong", f"198.51.100.{number}")
        with pytest.raises(Wait):
            file.entering("anna", TOKEN, "198.51.100.99")
        assert file.entering("anna", TOKEN, ADDRESS)
        for _ in range(tries.FREE):
            file.entering("anna", "wrong", ADDRESS)
        with pytest.raises(Wait):  # but for one's own
            file.entering("anna", TOKEN, ADDRESS)

    def test_they_are_forgotten(self, tmp_path: Path, clock: FakeClock) -> None:
        file = token_file(tmp_path / "people", anna="send")
        for _ in range(tries.FREE):
            file.entering("anna", "wrong", ADDRESS)
        clock.advance(tries.FORGOTTEN_SECONDS + 2)
        for _ in range(tries.FREE - 1):
            file.entering("anna", "wrong", ADDRESS)
        assert file.entering("anna", TOKEN, ADDRESS)

    def test_memory_is_bounded(self, clock: FakeClock) -> None:
        tried = tries.Tries()
        for number in range(20_000):
            tried.failed(str(number), str(number))
            tried.came("anna", str(number))
        assert len(tried._tried) <= 4096
        assert len(tried._came) <= 4096

    def test_they_are_logged_without_the_secret(
        self, tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        file = token_file(tmp_path / "people", anna="send")
        with caplog.at_level(logging.WARNING):
            file.entering("anna", "not-the-token", ADDRESS)
            file.entering(TOKEN, "", ADDRESS)  # typed into the wrong field
            file.entering("anna", TOKEN, ADDRESS)
        assert [record.getMessage() for record in caplog.records] == [
            f"the desk: a wrong token from {ADDRESS}, for 'anna'",
            f"the desk: a wrong token from {ADDRESS}, for a name that the file has not",
        ]


class TestAdd:
    """What `desk add-user` writes."""

    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Hashes that take no time; one test makes one as it is."""
        monkeypatch.setattr(PasswordHasher, "hash", lambda _, token: f"$argon2id$of${len(token)}")

    def test_lines(self, tmp_path: Path) -> None:
        path = tmp_path / "people"
        path.write_text("# of the lab\n")
        token, had = people.add(path, "anna", "edit")
        assert (len(token), had) == (24, False)
        other, had = people.add(path, " Dr. Mu\u0308ller ", "send", "a-token-of-mine")
        assert (other, had) == ("a-token-of-mine", False)
        again, had = people.add(path, "anna", "view")
        assert had
        assert again != token
        assert path.read_text(encoding="utf-8").splitlines() == [
            "# of the lab",
            "Dr. Müller:$argon2id$of$15:send",
            "anna:$argon2id$of$24:view",
        ]
        assert [each.name for each in tmp_path.iterdir()] == ["people"]

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no such modes")
    def test_it_is_for_this_account_only(self, tmp_path: Path) -> None:
        path = tmp_path / "people"
        for mode in (0o600, 0o666):
            people.add(path, "anna", "edit")
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            path.chmod(mode)

    def test_what_fails_leaves_it_as_it_was(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "people"
        people.add(path, "anna", "edit")
        before = path.read_bytes()

        def full(*_: object) -> int:
            raise OSError(28, os.strerror(28))

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(StoreError, match="the disk is full"):
            people.add(path, "ben", "edit")
        assert path.read_bytes() == before
        assert [each.name for each in tmp_path.iterdir()] == ["people"]

    @pytest.mark.parametrize(
        ("name", "token", "sentence"),
        [
            ("a:b", None, "the name 'a:b' is refused"),
            ("#a", None, "the name '#a' is refused"),
            (" ", None, "a name has 1 to 64 characters"),
            ("a\nb", None, r"the name has a character that is not seen \(U\+000A\)"),
            ("a\u2067b", None, r"not seen \(U\+2067\)"),
            ("anna", "short", "a token has 12 to 1,024 characters"),
            ("anna", "", "a token has 12 to 1,024 characters"),
            ("anna", "a-token\x00-of-mine", r"the token has a character that is not seen"),
            ("anna", "a-token\udcff-of-mine", r"the token has a character that is not seen"),
        ],
    )
    def test_what_is_refused(
        self, tmp_path: Path, name: str, token: str | None, sentence: str
    ) -> None:
        with pytest.raises(OptionError, match=sentence):
            people.add(tmp_path / "people", name, "edit", token)
        assert list(tmp_path.iterdir()) == []

    def test_a_file_of_an_earlier_release_is_left(self, tmp_path: Path) -> None:
        path = tmp_path / "people"
        path.write_text("one-token-for-all")
        with pytest.raises(OptionError, match="one token for all, as earlier releases had it"):
            people.add(path, "anna", "edit")
        assert path.read_text() == "one-token-for-all"
        with pytest.raises(StoreError, match="its folder is not there"):
            people.add(tmp_path / "nowhere/people", "anna", "edit")


def test_what_is_added_lets_in(tmp_path: Path) -> None:
    token, _ = people.add(tmp_path / "people", "anna", "view")
    assert token not in (tmp_path / "people").read_text()
    assert TokenFile(tmp_path / "people").entering("anna", token, ADDRESS)


def test_a_folder_in_the_file_s_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"^{re.escape(str(tmp_path))}: is a folder"):
        people.add(tmp_path, "anna", "edit")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
@pytest.mark.parametrize("is_pipe", [True, False])
def test_what_is_no_file_is_not_opened(tmp_path: Path, is_pipe: bool) -> None:
    """To open a pipe takes until somebody writes into it."""
    path = tmp_path / "people"
    os.mkfifo(path) if is_pipe else path.mkdir()
    with pytest.raises(OptionError, match=f"^{re.escape(str(path))} is no file; "):
        TokenFile(path)
