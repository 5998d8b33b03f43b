"""Who may work at the desk, on the command line: add-user, and the address that serve prints."""

from __future__ import annotations

import io
import os
import re
import signal
import stat
import sys
import webbrowser
from pathlib import Path
from urllib.request import url2pathname

import pytest

from tests.cli.test_cli import assert_one_sentence
from tests.conftest import Run
from tests.support.site import Site
from tests.web.test_people import HASH, basic
from vsv_pyramid.cli import opening
from vsv_pyramid.web.people import TokenFile

SECOND = pytest.param(
    "127.0.0.2",
    marks=pytest.mark.skipif(sys.platform != "linux", reason="Others have no second one at first"),
)
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no such signals")


def test_add_user(run: Run) -> None:
    outcome = run("desk", "add-user", "anna", "--token-file", "people", "--role", "send")
    assert outcome.code == 0
    assert outcome.err == "anna has the role send; the token is shown only now:\n"
    token = outcome.out.removesuffix("\n")
    assert re.fullmatch(r"[\w-]{24}", token)
    anna = TokenFile(Path("people")).entering("anna", token, "")
    assert anna and anna.role == "send"
    again = run("desk", "add-user", "anna", "--token-file", "people")
    assert again.err.startswith("anna has the role edit; the former token is no longer good;")
    assert TokenFile(Path("people")).entering("anna", token, "") is None


def test_a_token_of_ones_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a token of mine\r\nmore\n"))
    outcome = run("desk", "add-user", "anna", "--token-file", "people", "--stdin")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == "anna has the role edit\n"
    assert TokenFile(Path("people")).entering("anna", "a token of mine", "")


def test_what_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for said, sentence in (
        (io.StringIO(""), "a token has 12 to 1,024 characters"),
        (io.StringIO("short\n"), "a token has 12 to 1,024 characters"),
        (io.TextIOWrapper(io.BytesIO(20 * b"\xff"), "utf-8"), "no token can be read from stdin"),
        (None, "a token has 12 to 1,024 characters"),
    ):
        monkeypatch.setattr(sys, "stdin", said)
        outcome = run("desk", "add-user", "anna", "--token-file", "people", "--stdin")
        assert outcome.code == 2
        assert_one_sentence(outcome.err, sentence)
    outcome = run("desk", "add-user", "a\x1b]0;b", "--token-file", "people")
    assert_one_sentence(outcome.err, "the name has a character that is not seen (U+001B)")
    outcome = run("desk", "add-user", "anna", "a-token-of-mine", "--token-file", "people")
    assert outcome.code == 2  # a token is no argument
    assert not Path("people").exists()
    assert run("desk", "add-user", "anna").code == 2


class TestServe:
    """The address that it prints, and opens."""

    @pytest.fixture(autouse=True)
    def root(self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        Path("root/images").mkdir(parents=True)
        (tmp_path / "home").mkdir()
        monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")

    @staticmethod
    def words(*more: str) -> tuple[object, ...]:
        return ("serve", "root", "--edit", "--private-to", "kept", "--port", 0, "--open", *more)

    @POSIX
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", SECOND])
    def test_the_key_is_in_it(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
    ) -> None:
        seen: list[str] = []

        def browse(url: str) -> bool:
            """What a browser does; the key is no argument of it, which all accounts see."""
            try:
                assert re.fullmatch(r"file://.*/home/vsv-pyramid-desk-\w+\.html", url)
                file = Path(url2pathname(url.removeprefix("file://")))
                assert stat.S_IMODE(file.stat().st_mode) == 0o600
                (address,) = re.findall(r'content="0;url=(.*?)"', file.read_text())
                site = Site(int(address.split(":")[2].split("/")[0]))
                path = "/" + address.split("/", 3)[3]
                own = {"Host": f"{host}:{site.port}"}
                seen.append(address)
                seen.extend(str(site.ask(each, **own).status) for each in (path, "/desk/"))
                seen.append(str(site.ask(path, Host="elsewhere.example").status))
            finally:
                os.kill(os.getpid(), signal.SIGINT)
            return True

        monkeypatch.setattr(webbrowser, "open", browse)
        monkeypatch.setattr("tests.support.site.HOST", host)
        outcome = run(*self.words("--host", host))
        assert outcome.code == 0, outcome.err
        address, *statuses = seen
        assert statuses == ["200", "403", "400"]
        assert outcome.out == f"Serving root at {address} (Ctrl-C ends it)\n"
        assert re.fullmatch(rf"http://{re.escape(host)}:\d+/\?key=[\w-]{{43}}", address)
        assert outcome.err == ""
        assert list((tmp_path / "home").iterdir()) == []

    @POSIX
    def test_without_a_home(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def told(place: str, url: str) -> None:
            tell(place, url)
            assert Site(int(url.split(":")[2].split("/")[0])).ask("/").status == 403  # it is there
            os.kill(os.getpid(), signal.SIGINT)

        tell = opening._open
        monkeypatch.setattr(opening, "_open", told)
        monkeypatch.setattr(Path, "home", lambda: Path("nowhere"))
        outcome = run(*self.words())
        assert outcome.code == 0
        what = "Warning: no file can be made in your home; open http://127.0.0.1:"
        assert outcome.err.startswith(what)

    @POSIX
    @pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
    def test_with_a_token_file_no_key_is_printed(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, host: str
    ) -> None:
        """Whoever asks, by whatever name, as by that of a server with TLS before this one."""
        Path("people").write_text(f"anna:{HASH}\n")
        seen: list[int] = []

        def browse(url: str) -> bool:
            site = Site(int(url.split(":")[2].rstrip("/")))
            asked = {"Host": "slides.example.org"}
            seen.append(site.ask("/images/index.json", **asked).status)
            asked["Authorization"] = basic("anna")
            seen.append(site.ask("/images/index.json", **asked).status)
            os.kill(os.getpid(), signal.SIGINT)
            return True

        monkeypatch.setattr(webbrowser, "open", browse)
        outcome = run(*self.words("--token-file", "people", "--host", host))
        assert (outcome.code, seen) == (0, [401, 200])
        assert "key" not in outcome.out
        told = "Warning: anyone on the network who reaches 0.0.0.0 can try tokens at the desk.\n"
        assert outcome.err == (told if host == "0.0.0.0" else "")
