"""Signed links and cookies, as CloudFront wants and checks them: a custom policy, which may hold a
wildcard, under RSA with SHA-256, which a fourth value names, or with SHA-1, where none is named."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from botocore.signers import CloudFrontSigner
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)

from vsv_pyramid.errors import OptionError
from vsv_pyramid.layout import bounds, documents, keys

_BITS = 2048
QUERY_NAMES = ("Policy", "Signature", "Key-Pair-Id")
HASH_NAME = "Hash-Algorithm"
SHA_1, SHA_256 = "SHA1", "SHA256"
_HASHES: dict[str, type[HashAlgorithm]] = {SHA_1: SHA1, SHA_256: SHA256}
COOKIE_PREFIX = "CloudFront-"
COOKIE_ATTRIBUTES = "Path=/; Secure; HttpOnly"

_LOOPBACK = ("127.0.0.1", "localhost")
_PORTS = {"https": 443, "http": 80}
_LONGEST = timedelta(days=366)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_TO_BASE64 = str.maketrans("-_~", "+=/")  # CloudFront's own way to make it fit for a query


@dataclass(frozen=True)
class Verifier:
    """Whose signatures count: those of this key, under this id where one is given."""

    public_key: RSAPublicKey
    key_id: str | None = None

    def allows(self, url: str, cookies: Mapping[str, str], now: datetime) -> bool:
        """Whether CloudFront would let the URL pass, by the signature in its query, or by the
        cookies where the query has none. Values are taken as they are sent: what escapes them on
        the way, as a browser's URLSearchParams does with ~, makes them other ones."""
        place, _, query = url.partition("?")
        signature, others = [], []
        for pair in query.split("&"):
            name, _, value = pair.partition("=")
            if name in (*QUERY_NAMES, HASH_NAME):
                signature.append((name, value))
            elif pair:
                others.append(pair)
        if not signature:
            all_names = (*QUERY_NAMES, HASH_NAME)
            names = [name for name in all_names if COOKIE_PREFIX + name in cookies]
            signature = [(name, cookies[COOKIE_PREFIX + name]) for name in names]
        if others:
            place += "?" + "&".join(others)
        return verified(place, signature, self, now)


def link(
    slide_id: str,
    base_url: str,
    key_id: str,
    private_key: RSAPrivateKey,
    expires: datetime,
    hash_name: str = SHA_256,
) -> str:
    """The viewer's address for the slide, whose query opens the slide's folder and nothing else.

    Raises OptionError for an id or a base URL that cannot be.
    """
    base = checked_base_url(base_url)
    resource = f"{base}/{keys.folder(keys.check_id(slide_id))}/*"
    query = {"id": slide_id, **signed_query(resource, key_id, private_key, expires, hash_name)}
    return f"{base}/viewer/index.html?{urlencode(query)}"


def cookies(
    base_url: str,
    key_id: str,
    private_key: RSAPrivateKey,
    expires: datetime,
    hash_name: str = SHA_256,
) -> dict[str, str]:
    """The cookies that open all below the base URL. Raises OptionError for one that cannot be."""
    resource = f"{checked_base_url(base_url)}/*"
    signed = signed_query(resource, key_id, private_key, expires, hash_name)
    return {COOKIE_PREFIX + name: value for name, value in signed.items()}


def signed_query(
    resource: str,
    key_id: str,
    private_key: RSAPrivateKey,
    expires: datetime,
    hash_name: str = SHA_256,
) -> dict[str, str]:
    """The parameters that open the resource, a URL with or without wildcards, until it expires;
    their values need no escaping."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", key_id):
        raise OptionError(f"--key-id {key_id!r} is refused; give CloudFront's id of the public key")
    hashed = _HASHES[hash_name]()
    signer = CloudFrontSigner(key_id, lambda policy: private_key.sign(policy, PKCS1v15(), hashed))
    policy = signer.build_policy(resource, expires)
    signed = dict(parse_qsl(urlsplit(signer.generate_presigned_url("", policy=policy)).query))
    return signed if hash_name == SHA_1 else {**signed, HASH_NAME: hash_name}


def verified(
    url: str, signature: Sequence[tuple[str, str]], verifier: Verifier, now: datetime
) -> bool:
    """Whether the signature, Policy, Signature and Key-Pair-Id, and perhaps Hash-Algorithm, in any
    order, is the verifier's and its policy is for this URL, which is without them, and this moment.
    A policy with conditions that are not of time is refused."""
    values = {HASH_NAME: SHA_1, **dict(signature)}
    named = sorted(name for name, _ in signature if name != HASH_NAME)
    if named != sorted(QUERY_NAMES) or len(signature) > len(values):
        return False
    hashed = _HASHES.get(values[HASH_NAME])
    if hashed is None:
        return False
    if verifier.key_id not in (None, values["Key-Pair-Id"]):
        return False
    try:
        policy = _decoded(values["Policy"])
        verifier.public_key.verify(_decoded(values["Signature"]), policy, PKCS1v15(), hashed())
        return _permits(documents.read(policy, dict), url, now.timestamp())
    except (InvalidSignature, ValueError):
        return False


def expiry(lifetime: str, now: datetime) -> datetime:
    """When what is signed now for 30m, 12h, 7d or 4w ends. Raises OptionError for anything else,
    and for more than a year: nobody can take it back."""
    found = re.fullmatch(r"([1-9][0-9]{0,3})([mhdw])", lifetime)
    if not found:
        raise OptionError(f"--expires {lifetime!r} is refused; give one such as 30m, 12h, 7d or 4w")
    long = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if long > _LONGEST:
        raise OptionError(f"--expires {lifetime} is more than a year; give 52w at the most")
    return now + long


def checked_base_url(url: str) -> str:
    """The address of the site as browsers write it, without a slash at its end.

    Raises OptionError where it is not https:// (or this machine), or more than host and path.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as exc:
        raise OptionError(f"--base-url {url!r} is no URL ({exc}); give https://host") from exc
    path = parts.path.rstrip("/")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
        raise OptionError(
            f"--base-url {url!r} is not safe to send; give https://host, or http://127.0.0.1 to try"
        )
    if (
        set("?#@") & set(url)
        or not re.fullmatch(r"[a-z0-9.-]+", host)
        or not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*", path)
    ):
        raise OptionError(f"--base-url {url!r} is more than host and path; give https://host/path")
    netloc = host if port in (None, _PORTS[parts.scheme]) else f"{host}:{port}"
    return f"{parts.scheme}://{netloc}{path}"


def read_private_key(path: Path) -> RSAPrivateKey:
    """The key of an unencrypted PEM file. Raises OptionError where there is none."""
    data = _read(path)
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError as exc:
        raise OptionError(f"{path} is encrypted; give the key without a passphrase") from exc
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise OptionError(f"{path} is no RSA private key in PEM; make one with openssl genrsa 2048")
    if key.key_size != _BITS:
        raise OptionError(
            f"{path} has {key.key_size} bits, and CloudFront takes {_BITS}; make one with openssl "
            "genrsa 2048"
        )
    return key


def read_public_key(path: Path) -> RSAPublicKey:
    """The key of a PEM file. Raises OptionError where there is none."""
    data = _read(path)
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPublicKey):
        raise OptionError(
            f"{path} is no RSA public key in PEM; make one with openssl rsa -pubout -in PRIVATE"
        )
    return key


def _read(path: Path) -> bytes:
    try:
        return bounds.small_file(path)
    except OSError as exc:
        raise OptionError(f"{path} cannot be read ({exc.strerror}); check the path") from exc


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value.translate(_TO_BASE64), validate=True)
    except binascii.Error as exc:
        raise ValueError("no base64 of CloudFront's kind") from exc


def _permits(policy: Any, url: str, now: float) -> bool:
    try:
        (statement,) = policy["Statement"]
        resource, conditions = statement["Resource"], statement["Condition"]
        times = {name: conditions[name]["AWS:EpochTime"] for name in conditions}
    except (KeyError, TypeError, ValueError):
        return False
    condition = {name: {"AWS:EpochTime": time} for name, time in times.items()}
    return (
        policy == {"Statement": [{"Resource": resource, "Condition": condition}]}
        and {"DateLessThan"} <= times.keys() <= {"DateLessThan", "DateGreaterThan"}
        and all(type(time) is int for time in times.values())
        and times.get("DateGreaterThan", 0) < now < times["DateLessThan"]
        and isinstance(resource, str)
        and _fits(resource, url)
    )


def _fits(resource: str, url: str) -> bool:
    """Whether the URL is one of those the resource means: * is any text, ? any one character. Each
    part between two * is looked for once, and the first place will do."""
    first, *others = (
        re.compile(re.escape(part).replace(r"\?", "."), re.DOTALL) for part in resource.split("*")
    )
    if not others:
        return first.fullmatch(url) is not None
    *middle, last = others
    found = first.match(url)
    for part in middle:
        found = part.search(url, found.end()) if found else None
    start = len(url) - len(resource.rpartition("*")[2])
    return found is not None and found.end() <= start and last.fullmatch(url, start) is not None
