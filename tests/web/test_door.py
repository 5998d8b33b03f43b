"""The one way in: a secret for a cookie; without either nothing at all is answered."""

from __future__ import annotations

import http.cookies
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

from tests.support.clock import FakeClock
from tests.support.site import Answer, Site, serving
from tests.web.test_people import HASH, basic, token_file
from vsv_pyramid.destination import Destination
from vsv_pyramid.store.directory import DirectoryStore
from vsv_pyramid.web import people, tries
from vsv_pyramid.web.app import create_app
from vsv_pyramid.web.desk_api import Entrance
from vsv_pyramid.web.people import Owner, TokenFile

PATHS = (
    *("/", "/desk", "/desk/", "/desk/desk.css", "/desk/desk.js", "/desk/queue.html?id=a"),
    *("/desk/api/session", "/desk/api/slides", "/desk/api/slides/a", "/desk/api/set"),
    *("/desk/images/a/label.jpeg", "/desk/images/a/macro.jpeg", "/viewer/", "/viewer/viewer.js"),
    *("/images/index.json", "/images/a/slide.json", "/nothing", "//desk/", "/%64esk/", "*"),
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "_NOBODY", HASH)


def app_of(tmp_path: Path, entering: people.People) -> Starlette:
    (tmp_path / "root/images").mkdir(parents=True, exist_ok=True)
    (tmp_path / "private").mkdir(exist_ok=True)
    published, private = (DirectoryStore(tmp_path / name) for name in ("root", "private"))
    return create_app(Destination(published, private), entrance=Entrance(entering))


@pytest.fixture
def owner() -> Owner:
    return Owner("anna")


@pytest.fixture
def desk(tmp_path: Path, owner: Owner) -> Iterator[Site]:
    with serving(app_of(tmp_path, owner)) as site:
        yield site


def cookie_of(answer: Answer) -> http.cookies.Morsel[str]:
    (morsel,) = http.cookies.SimpleCookie(answer.headers["Set-Cookie"]).values()
    return morsel


def session(site: Site, **headers: str) -> Answer:
    return site.ask("/desk/api/session", **headers)


def test_nothing_is_answered_without_the_key(desk: Site, owner: Owner) -> None:
    name = f"vsv-pyramid-desk-{desk.port}"
    values = ("", owner.key, f"YW5uYQ==.{64 * '0'}", "YW5uYQ==", "\xe9.\xe9", ".")
    for path in PATHS:
        for method in ("GET", "HEAD", "POST", "OPTIONS", "DELETE"):
            for cookie in ("", "x", *(f"{name}={value}" for value in values)):
                answer = desk.ask(path, method, Cookie=cookie)
                assert answer.status == 403, (path, method, cookie)
                assert answer.headers["Cache-Control"] == "no-store"
                assert "Set-Cookie" not in answer.headers
                if method == "GET":
                    assert answer.body.startswith(b"Open the address that the command has printed")


@pytest.mark.parametrize("key", ["", "x", "%C3%A9", "%00", "%ff"])
def test_another_key_is_refused(desk: Site, key: str) -> None:
    answer = desk.ask(f"/desk/?key={key}")
    assert (answer.status, "Set-Cookie" in answer.headers) == (403, False)


def test_the_key_becomes_a_cookie_and_leaves_the_address(desk: Site, owner: Owner) -> None:
    answer = desk.ask(f"/desk/queue.html?id=a%20b&key={owner.key}&x=")
    assert answer.status == 200
    assert answer.headers["Refresh"] == "0; url=/desk/queue.html?id=a+b&x="
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    morsel = cookie_of(answer)
    assert morsel.key == f"vsv-pyramid-desk-{desk.port}"
    assert owner.key not in answer.headers["Set-Cookie"]
    kept = {name: value for name, value in morsel.items() if value}
    assert kept == {"path": "/", "httponly": True, "samesite": "Strict"}
    entered = desk.entered(owner.key)
    for path in ("/desk/", "/desk/api/session", "/viewer/", "/images/index.json"):
        answer = entered.ask(path)
        assert (answer.status, "Set-Cookie" in answer.headers) == (200, False), path
    # The same address once more, or that of another start, as from a bookmark.
    for key in (owner.key, "of-yesterday"):
        assert entered.ask(f"/?key={key}").headers["Refresh"] == "0; url=/"


def test_no_other_site_is_gone_to(desk: Site, owner: Owner) -> None:
    for path in ("//elsewhere.example/", "/\\elsewhere.example/", "///elsewhere.example"):
        assert desk.ask(f"{path}?key={owner.key}").headers["Refresh"] in (
            "0; url=/elsewhere.example/",
            "0; url=/elsewhere.example",
        )


def test_behind_a_server_with_tls(desk: Site, owner: Owner) -> None:
    answer = desk.ask(f"/?key={owner.key}", X_Forwarded_Proto="https")
    assert cookie_of(answer)["secure"]


def test_two_desks_on_one_machine_do_not_disturb_each_other(tmp_path: Path, owner: Owner) -> None:
    other = Owner("anna")
    with serving(app_of(tmp_path, owner)) as one, serving(app_of(tmp_path, other)) as two:
        first, second = one.entered(owner.key).cookie, two.entered(other.key).cookie
        both = f"{first}; {second}"
        assert session(one, Cookie=both).status == session(two, Cookie=both).status == 200
        assert session(one, Cookie=second).status == session(two, Cookie=first).status == 403
        moved = second.replace(str(two.port), str(one.port))
        assert session(one, Cookie=moved).status == 403


class TestTokenFile:
    """Name and token are given as a browser asks for them."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> TokenFile:
        return token_file(tmp_path / "people", anna="send", Ben="view")

    @pytest.fixture
    def site(self, tmp_path: Path, file: TokenFile) -> Iterator[Site]:
        with serving(app_of(tmp_path, file)) as site:
            yield site

    def test_nothing_is_answered_without_a_token(self, site: Site, clock: FakeClock) -> None:
        for path in PATHS:
            for wrong in ("", "Basic", "Basic x", "Basic /w==", "Bearer x",
                          "Bearer" + basic("anna")[5:], "Digest" + basic("anna")[5:]):  # fmt: skip
                answer = site.ask(path, Authorization=wrong)
                assert answer.status == 401, (path, wrong)
                assert answer.headers["WWW-Authenticate"].startswith("Basic ")
                assert answer.body == b"Give your name, and your token as password.\n"
        for name, token in (("anna", "wrong"), ("anna", ""), ("ben", ""), ("", "wrong")):
            assert site.ask("/desk/", Authorization=basic(name, token)).status == 401

    def test_it_becomes_a_cookie(self, site: Site) -> None:
        answer = session(site, Authorization=basic(" anna "))
        assert (answer.status, b'"who":"anna"' in answer.body) == (200, True)
        cookie = f"{cookie_of(answer).key}={cookie_of(answer).coded_value}"
        again = session(site, Cookie=cookie)
        assert (again.status, "Set-Cookie" in again.headers) == (200, False)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(people, "_is_right", None)  # no hash is made for who is known
            assert session(site, Cookie=cookie, Authorization=basic("anna")).status == 200
        # Whoever says another name is another one.
        ben = session(site, Cookie=cookie, Authorization=basic("Ben"))
        assert b'"who":"Ben"' in ben.body
        assert session(site, Cookie=cookie, Authorization=basic("Ben", "wrong")).status == 401

    def test_a_cookie_is_good_as_long_as_the_line(self, site: Site, tmp_path: Path) -> None:
        answer = session(site, Authorization=basic("Ben"))
        cookie = f"{cookie_of(answer).key}={cookie_of(answer).coded_value}"
        for text, status in (
            (f"Ben:{HASH}:edit\n", 200),
            (f"Ben:{HASH[:-1]}A:edit\n", 401),  # another token
            (f"anna:{HASH}:edit\n", 401),
        ):
            (tmp_path / "people").write_text(text)
            assert session(site, Cookie=cookie).status == status, text

    def test_a_key_that_is_none_is_no_try(self, site: Site) -> None:
        """Another page may have a browser ask so."""
        for _ in range(20):
            assert session(site, Sec_Fetch_Site="cross-site").status == 401
            assert site.ask("/images/x.jpeg?key=x", Sec_Fetch_Site="cross-site").status == 401

    def test_wrong_tries_wait(self, site: Site, clock: FakeClock) -> None:
        for _ in range(tries.FREE):
            assert session(site, Authorization=basic("anna", "wrong")).status == 401
        answer = session(site, Authorization=basic("anna"))
        assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
        assert answer.body == b"There were too many wrong tries; wait 1 s, then try again.\n"
        clock.advance(1)
        assert session(site, Authorization=basic("anna")).status == 200

    def test_who_is_in_does_not_wait(self, site: Site, clock: FakeClock) -> None:
        answer = session(site, Authorization=basic("anna"))
        cookie = f"{cookie_of(answer).key}={cookie_of(answer).coded_value}"
        for _ in range(tries.FREE + 1):
            session(site, Authorization=basic("anna", "wrong"))
        assert session(site, Cookie=cookie).status == 200

    def test_a_file_that_cannot_be_read_any_more(
        self, site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "people").write_text("nonsense\n")
        with caplog.at_level(logging.WARNING):
            answer = session(site, Authorization=basic("anna"))
        assert (answer.status, str(tmp_path).encode() in answer.body) == (503, False)
        assert "line 1 is not NAME:HASH:ROLE" in caplog.text
