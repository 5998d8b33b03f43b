"""Signed links and cookies: what CloudFront would take, and what it would refuse."""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import json
import re
import shlex
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.signers import CloudFrontSigner
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.test_cli import assert_one_sentence
from tests.conftest import Run
from tests.support import docs
from tests.support.site import Site, serving
from tests.web.test_app import FOLDER, PUBLISHED, publish
from vsv_pyramid.errors import OptionError
from vsv_pyramid.store import open_store
from vsv_pyramid.web import signing
from vsv_pyramid.web.app import create_app

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
BASE = "https://slides.example.org"
KEY_ID = "K2JCJMDEHXQW5F"
KEY = rsa.generate_private_key(65537, 2048)
FOREIGN_KEY = rsa.generate_private_key(65537, 2048)
VERIFIER = signing.Verifier(KEY.public_key(), KEY_ID)
WEEK = timedelta(days=7)


@functools.cache
def large_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 3072)


def private_pem(key: Any, *, password: bytes | None = None) -> bytes:
    encryption = pem.BestAvailableEncryption(password) if password else pem.NoEncryption()
    data: bytes = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, encryption)
    return data


def public_pem(key: Any) -> bytes:
    data: bytes = key.public_key().public_bytes(
        pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo
    )
    return data


def decoded(value: str) -> bytes:
    return base64.b64decode(value.replace("-", "+").replace("_", "=").replace("~", "/"))


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode().translate(str.maketrans("+=/", "-_~"))


def signed(policy: object, key: rsa.RSAPrivateKey = KEY) -> dict[str, str]:
    """The parameters for any policy."""
    data = policy if isinstance(policy, bytes) else json.dumps(policy).encode()
    signature = key.sign(data, padding.PKCS1v15(), SHA1())
    return {"Policy": encoded(data), "Signature": encoded(signature), "Key-Pair-Id": KEY_ID}


def query(values: dict[str, str]) -> str:
    return "&".join(f"{name}={value}" for name, value in values.items())


def condition(**times: object) -> dict[str, object]:
    return {name: {"AWS:EpochTime": time} for name, time in times.items()}


def test_a_link() -> None:
    url = signing.link("170782", f"{BASE}/", KEY_ID, KEY, NOW + WEEK)
    assert url.startswith(f"{BASE}/viewer/index.html?id=170782&Policy=")
    values = {name: value[0] for name, value in parse_qs(urlsplit(url).query).items()}
    assert url == f"{BASE}/viewer/index.html?{query(values)}"  # nothing in it is escaped
    assert list(values) == ["id", "Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm"]
    assert values["Hash-Algorithm"] == "SHA256"
    assert values["Key-Pair-Id"] == KEY_ID
    end = int((NOW + WEEK).timestamp())
    assert json.loads(decoded(values["Policy"])) == {
        "Statement": [
            {"Resource": f"{BASE}/images/170782/*", "Condition": condition(DateLessThan=end)}
        ]
    }


@pytest.mark.parametrize(
    ("name", "hashed", "prefix"),
    [
        ("SHA1", hashlib.sha1, "3021300906052b0e03021a05000414"),
        ("SHA256", hashlib.sha256, "3031300d060960864801650304020105000420"),
    ],
)
def test_the_signature_is_rsa(name: str, hashed: Callable[[bytes], Any], prefix: str) -> None:
    """By the arithmetic of RFC 8017 (8.2.2), without the library that signed."""
    values = signing.signed_query(f"{BASE}/*", KEY_ID, KEY, NOW, name)
    assert values.get("Hash-Algorithm", "SHA1") == name
    numbers = KEY.public_key().public_numbers()
    block = pow(int.from_bytes(decoded(values["Signature"]), "big"), numbers.e, numbers.n)
    info = bytes.fromhex(prefix) + hashed(decoded(values["Policy"])).digest()
    padded = b"\x00\x01" + b"\xff" * (256 - 3 - len(info)) + b"\x00" + info
    assert block.to_bytes(256, "big") == padded


def test_botocore_signs_the_same() -> None:
    signer = CloudFrontSigner(KEY_ID, lambda data: KEY.sign(data, padding.PKCS1v15(), SHA1()))
    resource = f"{BASE}/images/170782/*"
    url = signer.generate_presigned_url(
        f"{BASE}/images/170782/a.dzi", policy=signer.build_policy(resource, NOW)
    )
    ours = query(signing.signed_query(resource, KEY_ID, KEY, NOW, "SHA1"))
    assert url == f"{BASE}/images/170782/a.dzi?{ours}"


def allows(url: str, now: datetime = NOW, verifier: signing.Verifier = VERIFIER) -> bool:
    return verifier.allows(url, {}, now)


def test_what_a_link_opens() -> None:
    values = query(signing.signed_query(f"{BASE}/images/170782/*", KEY_ID, KEY, NOW + WEEK))
    tile = f"{BASE}/images/170782/DeepZoom_files/9/1_0.jpeg"
    assert allows(f"{tile}?{values}")
    assert allows(f"{tile}?v=abc&{values}")
    assert allows(f"{tile}?{values}&v=abc")
    assert allows(f"{BASE}/images/170782/DeepZoom-{'0' * 32}.szi?{values}&r=0-65535")
    assert allows(f"{tile}?{values}", NOW + WEEK - timedelta(seconds=1))
    assert allows(f"{tile}?{values}", verifier=signing.Verifier(KEY.public_key()))
    for url in (
        f"{BASE}/images/170783/DeepZoom.dzi",
        f"{BASE}/images/170782",
        f"{BASE}/images/1707820/DeepZoom.dzi",
        f"{BASE}/images/index.json",
        f"{BASE}/x/images/170782/DeepZoom.dzi",
        tile.replace("https", "http"),
        tile.replace("slides.", "other."),
        tile.replace(".org", ".org:8443"),
    ):
        assert not allows(f"{url}?{values}")
    assert not allows(f"{tile}?{values}", NOW + WEEK)
    assert not allows(tile)
    assert not allows(f"{tile}?{values}&{values}")
    assert not allows(f"{tile}?{values}&Policy=")
    assert not allows(f"{tile}?{values.partition('&')[2]}")
    assert not allows(f"{tile}?{values}", verifier=signing.Verifier(FOREIGN_KEY.public_key()))
    assert not allows(f"{tile}?{values}", verifier=dataclasses.replace(VERIFIER, key_id="K1"))
    assert not allows(f"{tile}?{values.replace('_', '%5F')}")


@pytest.mark.parametrize("name", ["SHA1", "SHA256"])
def test_the_hash_is_the_one_that_is_named(name: str) -> None:
    """Where none is, it is SHA-1: links of former releases go on."""
    values = signing.signed_query(f"{BASE}/images/170782/*", KEY_ID, KEY, NOW + WEEK, name)
    url = f"{BASE}/images/170782/DeepZoom.dzi?{query(values)}"
    bare = url.partition("&Hash-Algorithm")[0]
    assert allows(url)
    assert allows(bare) is (name == "SHA1")
    for named in "SHA1", "SHA256":
        assert allows(f"{bare}&Hash-Algorithm={named}") is (name == named)
    for wrong in "sha256", "SHA-256", "SHA512", "":
        assert not allows(f"{bare}&Hash-Algorithm={wrong}")
    assert not allows(f"{bare}&Hash-Algorithm={name}&Hash-Algorithm={name}")


@given(st.sampled_from(["Policy", "Signature"]), st.data())
def test_what_is_tampered_with_opens_nothing(name: str, data: st.DataObject) -> None:
    values = signing.signed_query(f"{BASE}/images/170782/*", KEY_ID, KEY, NOW + WEEK)
    text = bytearray(decoded(values[name]))
    at = data.draw(st.integers(0, len(text) - 1))
    text[at] ^= data.draw(st.integers(1, 255))
    assert not allows(f"{BASE}/images/170782/a.dzi?{query(values | {name: encoded(bytes(text))})}")


END = int(NOW.timestamp()) + 60
ALL: dict[str, Any] = {"Resource": "*", "Condition": condition(DateLessThan=END)}


@pytest.mark.parametrize(
    ("policy", "opens"),
    [
        ({"Statement": [ALL]}, True),
        ({"Statement": [ALL | {"Resource": "http*://slides.example.org/?/*"}]}, True),
        ({"Statement": [ALL | {"Resource": f"{BASE}/a/b.dzi?v=1"}]}, True),
        ({"Statement": [ALL | {"Resource": f"{BASE}/a/b.dzi"}]}, False),
        ({"Statement": [ALL | {"Resource": f"{BASE}/a/b?dzi*"}]}, True),
        ({"Statement": [ALL | {"Resource": f"{BASE}/a/b??dzi*"}]}, False),
        ({"Statement": [ALL | {"Resource": ".*"}]}, False),
        ({"Statement": [ALL | {"Resource": ["*"]}]}, False),
        ({"Statement": [ALL, ALL]}, False),
        ({"Statement": ALL}, False),
        ({"Statement": []}, False),
        ({"Statement": [ALL], "Version": 1}, False),
        ({"Statement": [ALL | {"Effect": "Allow"}]}, False),
        ({"Statement": [{"Resource": "*"}]}, False),
        ({"Statement": [ALL | {"Condition": {}}]}, False),
        ({"Statement": [ALL | {"Condition": condition(DateLessThan=END - 60)}]}, False),
        ({"Statement": [ALL | {"Condition": condition(DateLessThan=str(END))}]}, False),
        ({"Statement": [ALL | {"Condition": condition(DateLessThan=True)}]}, False),
        ({"Statement": [ALL | {"Condition": {"DateLessThan": END}}]}, False),
        ({"Statement": [ALL | {"Condition": condition(DateGreaterThan=0)}]}, False),
        (
            {"Statement": [ALL | {"Condition": condition(DateLessThan=END, DateGreaterThan=1)}]},
            True,
        ),
        (
            {
                "Statement": [
                    ALL | {"Condition": condition(DateLessThan=END, DateGreaterThan=END - 60)}
                ]
            },
            False,
        ),
        (
            {
                "Statement": [
                    ALL
                    | {
                        "Condition": condition(DateLessThan=END)
                        | {"IpAddress": {"AWS:SourceIp": "0.0.0.0/0"}}
                    }
                ]
            },
            False,
        ),
        (
            {"Statement": [ALL | {"Condition": condition(DateLessThan=END, Other=END)}]},
            False,
        ),
        ([], False),
        (None, False),
        (b"\xff", False),
        (b"{", False),
    ],
)
def test_policies(policy: object, opens: bool) -> None:
    url = f"{BASE}/a/b.dzi?v=1&{query(signed(policy))}"
    assert allows(url) is opens
    assert not allows(f"{BASE}/a/b.dzi?v=1&{query(signed(policy, FOREIGN_KEY))}")


def test_cookies_open_all_and_yield_to_a_query() -> None:
    cookies = signing.cookies(f"{BASE}/a", KEY_ID, KEY, NOW + WEEK)
    names = ("Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm")
    assert set(cookies) == {f"CloudFront-{name}" for name in names}
    assert VERIFIER.allows(f"{BASE}/a/images/index.json", cookies, NOW)
    assert VERIFIER.allows(f"{BASE}/a/images/170783/DeepZoom.dzi?v=1", cookies, NOW)
    assert not VERIFIER.allows(f"{BASE}/images/index.json", cookies, NOW)
    assert not VERIFIER.allows(f"{BASE}/a/images/index.json", cookies, NOW + WEEK)
    assert not VERIFIER.allows(f"{BASE}/a/images/index.json?Policy=x", cookies, NOW)
    for name in cookies:
        others = {other: value for other, value in cookies.items() if other != name}
        assert not VERIFIER.allows(f"{BASE}/a/images/index.json", others, NOW)


@pytest.mark.parametrize(
    ("text", "lifetime"),
    [
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("7d", WEEK),
        ("4w", 4 * WEEK),
        ("52w", 52 * WEEK),
    ],
)
def test_lifetimes(text: str, lifetime: timedelta) -> None:
    assert signing.expiry(text, NOW) == NOW + lifetime


@pytest.mark.parametrize("text", ["", "7", "d", "0d", "-1d", "1.5h", "7 d", "7D", "99999w", "1d\n"])
def test_lifetimes_that_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="30m, 12h, 7d or 4w"):
        signing.expiry(text, NOW)


@pytest.mark.parametrize("text", ["53w", "367d", "9999w"])
def test_longer_than_a_year_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="more than a year; give 52w at the most"):
        signing.expiry(text, NOW)


@given(st.text("ab?*", max_size=8), st.text("ab", max_size=8))
def test_wildcards_mean_what_a_pattern_does(resource: str, url: str) -> None:
    wild = {"*": ".*", "?": "."}
    pattern = "".join(wild.get(character, character) for character in resource)
    assert signing._fits(resource, url) is bool(re.fullmatch(pattern, url))


def test_many_wildcards_take_no_time() -> None:
    """For a pattern of all of them, 2**n ways."""
    assert not signing._fits("*a" * 200 + "b", "a" * 2000)


@pytest.mark.parametrize(
    ("url", "written"),
    [
        (BASE, BASE),
        (f"{BASE}/", BASE),
        ("https://Slides.Example.org:443/a/b/", "https://slides.example.org/a/b"),
        ("https://a:8443", "https://a:8443"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://localhost:80/", "http://localhost"),
    ],
)
def test_base_urls(url: str, written: str) -> None:
    assert signing.checked_base_url(url) == written


@pytest.mark.parametrize(
    "url",
    [
        "",
        "slides.example.org",
        "http://slides.example.org",
        "ftp://127.0.0.1",
        "http://127.0.0.1.example.org",
        "https://",
        "https://a?x=1",
        "https://a/?",
        "https://a/#x",
        "https://user@a",
        "https://a:x",
        "https://a:99999",
        "https://*",
        "https://a/*",
        "https://a//b",
        "https://a/../b",
        "https://a/b c",
        "https://a/%2e",
        "https://[::1",
    ],
)
def test_base_urls_that_are_refused(url: str) -> None:
    with pytest.raises(OptionError, match="give https://host"):
        signing.checked_base_url(url)


@pytest.fixture
def keys(run: Run) -> None:
    """Key files of all kinds in the current folder."""
    Path("private.pem").write_bytes(private_pem(KEY))
    Path("public.pem").write_bytes(public_pem(KEY))
    Path("encrypted.pem").write_bytes(private_pem(KEY, password=b"secret"))
    curve = ec.generate_private_key(ec.SECP256R1())
    Path("curve.pem").write_bytes(private_pem(curve))
    Path("curve-public.pem").write_bytes(public_pem(curve))
    Path("large.pem").write_bytes(private_pem(large_key()))
    Path("text.pem").write_bytes(b"\xff no key")
    Path("folder.pem").mkdir()


ALWAYS = ("--base-url", BASE, "--key-id", KEY_ID, "--private-key", "private.pem")


def test_share(run: Run, keys: None) -> None:
    outcome = run("share", "170782", "170783", *ALWAYS, "--expires", "1h")
    assert (outcome.code, outcome.err) == (0, "")
    first, second = outcome.out.splitlines()
    assert first.startswith(f"{BASE}/viewer/index.html?id=170782&Policy=")
    now = datetime.now(timezone.utc)
    signature = urlsplit(first).query.partition("&")[2]
    assert allows(f"{BASE}/images/170782/slide.json?{signature}", now)
    assert not allows(f"{BASE}/images/170783/slide.json?{signature}", now)
    assert not allows(f"{BASE}/images/170782/slide.json?{signature}", now + timedelta(hours=1))
    assert second.startswith(f"{BASE}/viewer/index.html?id=170783&Policy=")


def test_share_for_a_cdn_that_takes_nothing_newer(run: Run, keys: None) -> None:
    for name in "SHA1", "sha1":
        outcome = run("share", "170782", *ALWAYS, "--hash", name)
        assert outcome.code == 0
        assert "Hash-Algorithm" not in outcome.out


def test_share_cookies(run: Run, keys: None) -> None:
    outcome = run("share", "--cookies", *ALWAYS)
    assert (outcome.code, outcome.err) == (0, "")
    found = re.findall(r"^(\S+?)=(\S+); Path=/; Secure; HttpOnly$", outcome.out, re.MULTILINE)
    assert len(found) == len(outcome.out.splitlines()) == 4
    assert VERIFIER.allows(f"{BASE}/images/x.dzi", dict(found), datetime.now(timezone.utc))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "there is no ID"),
        (["170782", "--cookies"], "give no ID"),
        (["../x"], "cannot be an id"),
        (["a", "*"], "cannot be an id"),
        (["a", "--expires", "0d"], "30m, 12h, 7d or 4w"),
        (["a", "--base-url", "http://slides.example.org"], "not safe to send"),
        (["a", "--key-id", "K&x"], "--key-id 'K&x' is refused"),
        (["a", "--private-key", ""], "an empty path"),
        (["a", "--private-key", "nothing.pem"], "nothing.pem cannot be read"),
        (["a", "--private-key", "folder.pem"], "folder.pem cannot be read"),
        (["a", "--private-key", "encrypted.pem"], "without a passphrase"),
        (["a", "--private-key", "curve.pem"], "no RSA private key"),
        (["a", "--private-key", "public.pem"], "no RSA private key"),
        (["a", "--private-key", "text.pem"], "no RSA private key"),
        (["a", "--private-key", "large.pem"], "3072 bits, and CloudFront takes 2048"),
    ],
)
def test_share_refuses(run: Run, keys: None, words: list[str], sentence: str) -> None:
    outcome = run("share", *ALWAYS, *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert_one_sentence(outcome.err, sentence)


@pytest.mark.parametrize("name", ["private.pem", "curve-public.pem", "text.pem"])
def test_a_public_key_that_is_none(run: Run, keys: None, name: str) -> None:
    publish(".")
    outcome = run("serve", "--signed", "--public-key", name, "--port", 0)
    assert outcome.code == 2
    assert_one_sentence(outcome.err, f"{name} is no RSA public key")


def test_a_key_takes_the_others_place(tmp_path: Path) -> None:
    """At no moment is a link that somebody has refused before it ends: the new key beside the
    former one, links of both, and the new one alone."""
    publish(str(tmp_path))
    former = signing.Verifier(KEY.public_key(), "FORMER")
    new = signing.Verifier(FOREIGN_KEY.public_key(), "NEW")
    opened = []
    for verifiers in [former], [former, new], [new, former], [new]:
        with serving(create_app(open_store(str(tmp_path)), verifiers=verifiers)) as site:
            end = datetime.now(timezone.utc) + WEEK
            links = [
                query(signing.signed_query(f"{site.url}/{FOLDER}/*", key_id, key, end))
                for key_id, key in (("FORMER", KEY), ("NEW", FOREIGN_KEY), ("NEW", KEY))
            ]
            opened.append(
                [site.ask(f"/{FOLDER}/slide.json?{link}").status == 200 for link in links]
            )
    assert opened == [
        [True, False, False],
        [True, True, False],
        [True, True, False],
        [False, True, False],
    ]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--key-id", "K1"), "give --key-id once for each --public-key"),
        (("--key-id", "K1", "--key-id", "K2", "--key-id", "K3"), "give --key-id once for each"),
    ],
)
def test_ids_of_keys_are_one_for_each(
    run: Run, keys: None, words: tuple[str, ...], sentence: str
) -> None:
    both = ("--public-key", "public.pem", "--public-key", "public.pem")
    outcome = run("serve", "--signed", *both, *words, "--port", 0)
    assert outcome.code == 2
    assert_one_sentence(outcome.err, sentence)


def test_the_commands_of_the_docs(run: Run, keys: None) -> None:
    commands = re.findall(r"^vsv-pyramid (share .*)", docs.TEXT, re.MULTILINE)
    assert len(commands) == 2
    for words in commands:
        assert run(*shlex.split(words)).code == 0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that wants signatures, with two slides."""
    root = tmp_path_factory.mktemp("root")
    publish(str(root))
    store = open_store(str(root))
    store.put("images/170783/DeepZoom.dzi", b"another slide")
    store.put("images/index.json", b"[]")
    (root / "viewer").mkdir()
    (root / "viewer/index.html").write_bytes(b"the page")
    verifier = signing.Verifier(
        signing.read_public_key(_file(root / "public.pem", public_pem(KEY)))
    )
    with serving(create_app(store, viewer=root / "viewer", verifiers=[verifier])) as site:
        yield site


def _file(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def assert_forbidden(site: Site, path: str, **headers: str) -> None:
    answer = site.ask(path, **headers)
    assert answer.status == 403
    assert answer.body == b"This needs a signed link or cookie that still holds.\n"
    assert answer.headers["Cache-Control"] == "no-store"


class TestSigned:
    """The whole way: what share gives, asked of the server."""

    def link(self, site: Site, *, base: str = "", key: Any = KEY, age: timedelta = -WEEK) -> str:
        now = datetime.now(timezone.utc)
        url = signing.link("170782", base or site.url, KEY_ID, key, now - age)
        return urlsplit(url).query.partition("&")[2]

    def test_a_link_opens_its_slide(self, site: Site) -> None:
        signature = self.link(site)
        for key, data in PUBLISHED.items():
            answer = site.ask(f"/{key}?v=abc&{signature}")
            assert (answer.status, answer.body) == (200, data)
            assert answer.headers["Access-Control-Allow-Origin"] is None
        assert site.ask(f"/{FOLDER}/DeepZoom.dzi?{signature}", "HEAD").status == 200
        assert site.ask(f"/{FOLDER}/DeepZoom.dzi?{signature}", Range="bytes=0-1").status == 206
        assert site.ask(f"/{FOLDER}/label.jpeg?{signature}").status == 404

    def test_a_link_opens_nothing_else(self, site: Site) -> None:
        signature = self.link(site)
        for path in (
            "images/170783/DeepZoom.dzi",
            "images/170783/nothing",
            "images/index.json",
            "images/170782.dzi",
            "images/",
            "images/%31%37%30%37%38%32/slide.json",
            "images%2f170782/slide.json",
        ):
            assert_forbidden(site, f"/{path}?{signature}")
        assert site.ask(f"/{FOLDER}/../170783/DeepZoom.dzi?{signature}").status == 404

    def test_without_a_signature_all_is_closed(self, site: Site) -> None:
        for path in (*PUBLISHED, "images/index.json", "images/170782.dzi", "images/nothing"):
            assert_forbidden(site, f"/{path}")
            assert_forbidden(site, f"/{path}?v=abc&Policy=&Signature=&Key-Pair-Id=")
        for method in ("HEAD", "OPTIONS"):
            assert site.ask(f"/{FOLDER}/slide.json", method).status == 403
        assert site.ask(f"/{FOLDER}/slide.json", If_None_Match="*").status == 403

    def test_signatures_that_do_not_hold(self, site: Site) -> None:
        good = self.link(site)
        policy, signature, key_id, hashed = good.split("&")
        middle = len(signature) // 2
        other = "A" if signature[middle] != "A" else "B"
        tampered = signature[:middle] + other + signature[middle + 1 :]
        wide = signed({"Statement": [ALL]}, FOREIGN_KEY)
        for bad in (
            self.link(site, age=timedelta(seconds=1)),
            self.link(site, key=FOREIGN_KEY),
            self.link(site, base="https://slides.example.org"),
            self.link(site, base=f"{site.url}/elsewhere"),
            self.link(site, base=site.url.replace("127.0.0.1", "localhost")),
            f"{policy}&{tampered}&{key_id}&{hashed}",
            f"Policy={wide['Policy']}&{signature}&{key_id}&{hashed}",
            f"{policy}&{signature}&{hashed}",
            f"{policy}&{signature}&{key_id}",
            query(wide),
        ):
            for key in PUBLISHED:
                assert_forbidden(site, f"/{key}?{bad}")
        assert site.ask(f"/{FOLDER}/slide.json?{good}").status == 200

    def test_cookies_open_all(self, site: Site) -> None:
        now = datetime.now(timezone.utc)

        def cookie(base: str, end: datetime, key: rsa.RSAPrivateKey = KEY) -> str:
            values = signing.cookies(base, KEY_ID, key, end)
            return "; ".join(f"{name}={value}" for name, value in values.items())

        good = cookie(site.url, now + WEEK)
        for key, data in PUBLISHED.items():
            assert site.ask(f"/{key}", Cookie=good).body == data
        for path in ("images/170783/DeepZoom.dzi", "images/index.json"):
            assert site.ask(f"/{path}", Cookie=good).status == 200
        assert site.ask("/images/170782.dzi", Cookie=good).status == 302
        for bad in (
            cookie(site.url, now),
            cookie(BASE, now + WEEK),
            cookie(site.url, now + WEEK, FOREIGN_KEY),
            good.replace("CloudFront-Policy", "Policy"),
            good.partition("; ")[2],
        ):
            assert_forbidden(site, f"/{FOLDER}/slide.json", Cookie=bad)

    def test_the_page_is_open(self, site: Site) -> None:
        for path in ("viewer/", "viewer/index.html"):
            assert site.ask(f"/{path}").body == b"the page"
        assert site.ask("/").status == 307

    def test_a_request_that_names_no_host(self, site: Site) -> None:
        line = f"GET /{FOLDER}/slide.json?{self.link(site)} HTTP/1.1".encode()
        assert site.send(line).status == 403
