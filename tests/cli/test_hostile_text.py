"""What others have written (names, descriptions, answers) is shown, and a terminal obeys none."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from tests.conftest import Outcome, Run
from tests.support import cdr_stub
from tests.support.destinations import private_of
from tests.support.forge import forge_svs
from tests.support.s3_proxy import Handler, Proxy, Request
from tests.support.s3_server import Place
from vsv_pyramid.cli import streams
from vsv_pyramid.cli.display import ProgressDisplay
from vsv_pyramid.cli.main import load
from vsv_pyramid.cli.messages import Events, speak
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.runtime.progress import Progress
from vsv_pyramid.words import one_line

ENDS = "a\r\nb\x85c\u2028d"
ORDERS = "a\x1b[2J\x9b31m\x07\x7f"
TURNS = "a\u202egnp\u2066b\u200f"
HOSTILE = [ENDS, ORDERS, TURNS]
ON_POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
# Of each command the words before a path.
COMMANDS = (
    ("convert",),
    ("info",),
    ("verify",),
    ("verify", "--against"),
    ("delete", "--yes"),
    ("delete", "--yes", "--in", "here"),
    ("index",),
    ("refresh",),
    ("slides",),
    ("slides", "show"),
    ("slides", "set", "--status"),
    ("slides", "send", "--cdr"),
    ("slides", "retry"),
    ("slides", "dismiss"),
    ("desk", "add-user", "--token-file", "people"),
    ("private", "move"),
    ("pack",),
    ("unpack",),
    ("tidy",),
    ("submit", "--to"),
    ("watch", "--once", "--to", "to"),
    ("serve", "--port"),
    ("share", "--key"),
    ("viewer", "--to"),
)


def assert_shown(outcome: Outcome) -> None:
    text = outcome.out + outcome.err
    assert text.replace("\n", "").isprintable(), repr(text)
    assert "Traceback" not in text


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_is_given(command: tuple[str, ...], text: str, run: Run) -> None:
    """As a place, as an option and its value, and as a command."""
    for words in ([text], [f"s3://{text}"], [f"--{text}"], [f"--json={text}"], ["x", "y", text]):
        outcome = run(*command, *words)
        assert_shown(outcome)
        assert outcome.code or command[0] in ("viewer", "watch"), words
        assert not [line for line in outcome.err.splitlines() if line.startswith("b\\x85")]
    assert_shown(run(text))


@ON_POSIX
@pytest.mark.parametrize("text", HOSTILE)
def test_a_name(text: str, run: Run, small_slide: Path) -> None:
    """Of a slide that is converted, and told of in both logs."""
    Path(f"{text}.svs").write_bytes(small_slide.read_bytes())
    Path(f"{text}.tif").write_bytes(b"no slide")
    for suffix, code in ((".svs", 0), (".tif", 65)):
        words = ("convert", f"{text}{suffix}", "--ids", "safe", "--overwrite")
        for log in ((), ("--json",), ("--log-format", "json", "--log-paths"), ("--dry-run",)):
            outcome = run(*words, *log)
            assert outcome.code == code, outcome
            assert_shown(outcome)
            if "json" in log:
                events = [json.loads(line) for line in outcome.err.splitlines()]
                assert {event["slide"] for event in events if "slide" in event} == {text + suffix}
    facts = run("info", f"{text}.svs", "--json")
    assert json.loads(facts.out)["slide"] == f"{text}.svs"
    shown = run("info", f"{text}.svs")
    assert one_line(text) in shown.out
    assert_shown(shown)


@pytest.mark.parametrize("text", [ORDERS.replace("\x9b", ""), "a\nb\tc"])
def test_a_description(text: str, run: Run, real_slide: Path) -> None:
    described = {"ScanScope ID": text, "AppMag": text, "Date": text, text: text}
    forge_svs(Path("a.svs"), tissue=real_slide, size=(500, 300), levels=(1,), description=described)
    for words in (("info", "a.svs"), ("convert", "a.svs", "--private-to", private_of(Path.cwd()))):
        outcome = run(*words)
        assert outcome.code == 0
        assert_shown(outcome)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_kept(text: str, run: Run, small_slide: Path) -> None:
    """The catalog, a slide's record and its log, whoever has written into them."""
    private = private_of(Path.cwd())
    where = ("--private-to", private)
    assert run("convert", small_slide, *where, "--details", "lab").code == 0
    for path in [Path("images/index.json"), *Path(private).rglob("*.json")]:
        words = path.read_text(encoding="utf-8")
        for word in ("NEW", "small.svs", "convert"):
            words = words.replace(f'"{word}"', json.dumps(text))
        path.write_text(words, encoding="utf-8")
    for command in ("slides", "slides show small", "slides set small --case-id C1", "verify ."):
        assert_shown(run(*command.split(), *(where if command != "verify ." else ())))


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "a\u202eb", "a\nb"])
def test_what_s3_says(text: str, place: Place, proxy: Proxy, run: Run) -> None:
    said = escape(text).replace("\x1b", "&#x1b;")

    def refuse(handler: Handler, _: Request) -> bool:
        body = f"<Error><Code>Odd{said}</Code><Message>{said}</Message></Error>".encode()
        handler.answer(400, {"content-type": "application/xml", "x-amz-request-id": "1"}, body)
        return True

    proxy.fault = refuse
    for command in ("index", "verify", "info", "slides"):
        outcome = run(command, f"{place}/images/a" if command == "info" else place)
        assert outcome.code == 1
        assert_shown(outcome)


@ON_POSIX
def test_a_question(run: Run, monkeypatch: pytest.MonkeyPatch, small_slide: Path) -> None:
    folder = Path("to\x1b[2J\nb")
    assert run("convert", small_slide, "--to", folder).code == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    outcome = run("delete", folder / "images/small")
    assert "/to\\x1b[2J\\nb/images/small, 21 objects?" in outcome.err
    assert_shown(outcome)


@contextlib.contextmanager
def written(*, is_terminal: bool = False) -> Iterator[io.BytesIO]:
    """What came out on stderr."""
    raw = io.BytesIO()
    raw.isatty = lambda: is_terminal  # type: ignore[method-assign]
    with contextlib.redirect_stderr(io.TextIOWrapper(raw, encoding="utf-8")) as stream:
        with streams.forgiving(lambda: False):
            yield raw
        stream.detach()


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_progress_bar(text: str, is_terminal: bool) -> None:
    with written(is_terminal=is_terminal) as raw, ProgressDisplay(text) as show:
        show._last_line = -1e9
        show(Progress(1, 2, 0))
    shown = raw.getvalue().decode().replace("\n", "").replace("\r", "")
    assert one_line(text) in shown
    assert shown.isprintable()


def test_what_goes_past_all_else() -> None:
    """As a library's warning, or Python's own words about a defect."""
    with written() as raw:
        print(f"{ORDERS}\n\t{TURNS}\r{ENDS}", file=sys.stderr)
        assert sys.stderr.write("\x1b") == 1
    assert raw.getvalue().decode() == (
        "a\\x1b[2J\\x9b31m\\x07\\x7f\n\ta\\u202egnp\\u2066b\\u200f\\ra\\r\nb\\x85c\\u2028d\n\\x1b"
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_both_logs(text: str) -> None:
    logger = logging.getLogger("vsv_pyramid")
    with written() as raw:
        speak(as_events=False)
        logger.warning("%s", text)
        Events(ConvertOptions())
        logger.warning("%s", text)
    speak(as_events=False)
    line, event = raw.getvalue().decode().splitlines()
    assert line == f"Warning: {one_line(text)}"
    assert json.loads(event)["message"] == text
    assert event.isascii() and event.isprintable()


def test_what_a_repository_says(
    run: Run, small_slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = private_of(Path.cwd())
    monkeypatch.setenv("VSV_PYRAMID_PRIVATE", private)
    assert run("convert", small_slide).code == 0
    given = ("--slide-id", "S1", "--case-id", "C1", "--status", "good")
    assert run("slides", "set", "small", *given).code == 0
    with cdr_stub.running() as repository:
        repository.headers["Location"] = "http://127.0.0.1:9/\x1b[2J"
        for status in (302, 400, 201):
            repository.fail(status)
            assert_shown(run("slides", "send", "small", "--cdr", repository.url))


def test_every_command_is_tried() -> None:
    from vsv_pyramid.cli.main import _MODULE_OF

    assert {command[0] for command in COMMANDS} == set(_MODULE_OF)
    assert all(load([command[0]]) for command in COMMANDS)
