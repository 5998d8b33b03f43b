"""It ends: what is done in which situation, and how that ends. A row a case."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run
from tests.support.clock import until
from tests.support.forge import forge_svs
from tests.support.s3_proxy import Handler, Proxy, Request
from tests.support.s3_server import Place
from vsv_pyramid.conversion import convert
from vsv_pyramid.errors import (
    QueueError,
    SlideError,
    StoreError,
    StoreRefused,
    StoreUnavailable,
    is_environment,
)
from vsv_pyramid.planning.options import ConvertOptions, usable_cpus
from vsv_pyramid.runtime.signals import EXIT_SIGNALLED
from vsv_pyramid.store import is_archive, open_pyramid, open_store

PROGRAM = [sys.executable, "-m", "vsv_pyramid"]
PATIENCE = 120.0  # s, for what must end
NOBODY = "nothing was removed, since nobody has answered; --yes removes without asking"
SMALL = ("convert", "in", "--to", "to", "--tile-size", "256")
LOGGED = (*SMALL, "--log-format", "json")
ONCE = ("watch", "in", "--to", "to", "--once", "--interval", "0.1", "--tile-size", "256")
PYRAMID = "to/images/a/DeepZoom.dzi"

Stream = Callable[[ExitStack], int | None]


@dataclass(frozen=True)
class Row:
    """A situation; `prepare` makes it of a folder with one good slide, in/a.svs. What is done, and
    where its streams go; the exit code, sentences that are told, and what must be there."""

    situation: str
    words: tuple[str, ...]
    code: int = 0
    told: tuple[str, ...] = ()
    there: tuple[str, ...] = (PYRAMID,)
    prepare: Callable[[Path], None] = lambda _: None
    stdin: Stream | None = None
    stdout: Stream | None = None
    stderr: Stream | None = None
    untold: tuple[str, ...] = ()


def full(stack: ExitStack) -> int:
    """A disk without room."""
    return stack.enter_context(Path("/dev/full").open("wb")).fileno()


def left(stack: ExitStack) -> int:
    """A pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    stack.callback(os.close, writer)
    return writer


def nobody(_: ExitStack) -> int:
    return subprocess.DEVNULL


def published(folder: Path) -> None:
    convert(folder / "in/a.svs", str(folder / "to"), ConvertOptions(tile_size=256, workers=1))


def locked(folder: Path) -> None:
    (folder / "in/locked").mkdir(mode=0)


def listed_only(folder: Path) -> None:
    (folder / "in/x").mkdir()
    shutil.copy(folder / "in/a.svs", folder / "in/x/b.svs")
    (folder / "in/x").chmod(0o444)


def all_locked(folder: Path) -> None:
    (folder / "in").chmod(0)


def broken_link(folder: Path) -> None:
    (folder / "in/b.svs").symlink_to("nowhere.svs")


def loop(folder: Path) -> None:
    (folder / "in/b.svs").symlink_to("b.svs")


def linked_folder(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "in/more").symlink_to(folder / "elsewhere")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "in/b.svs")


def no_id(folder: Path) -> None:
    shutil.copy(folder / "in/a.svs", folder / "in/a b.svs")


def odd_bytes(folder: Path) -> None:
    shutil.copy(folder / "in/a.svs", folder / "in" / os.fsdecode(b"b\xff.svs"))


def line_break(folder: Path) -> None:
    shutil.copy(folder / "in/a.svs", folder / "in/b\nc.svs")


def only_locked(folder: Path) -> None:
    (folder / "in/a.svs").unlink()
    locked(folder)


def closed(folder: Path) -> None:
    """A destination that may not be written to, and more slides."""
    for name in "bcdef":
        shutil.copy(folder / "in/a.svs", folder / f"in/{name}.svs")
    (folder / "to").mkdir(mode=0o500)


LOST = "Warning: the log cannot be written"
DENIED = "Permission denied"
ROWS = [
    # Telling.
    Row("the log's disk is full", LOGGED, 0, (LOST, "No space left"), stderr=full),
    Row("the log's reader has gone", LOGGED, 0, (LOST, "Broken pipe"), stderr=left),
    Row("the log of a watch has no room", (*ONCE, "--log-format", "json"), 0, (LOST,), stderr=full),
    Row("the log of a watch has no reader", ONCE, prepare=locked, told=(LOST,), stderr=left),
    Row("nobody reads results", SMALL, stdout=left, untold=("Error", LOST)),
    Row("nobody reads data", ("info", "in/a.svs"), there=(), stdout=left, untold=("Error",)),
    Row("results have no room", SMALL, 1, ("Error: output: No space left",), stdout=full),
    Row("data have no room", ("info", "in/a.svs"), 1, ("output: No space left",), (), stdout=full),
    Row("neither has room", LOGGED, 0, stdout=full, stderr=full),
    Row("neither is read", SMALL, 0, stdout=left, stderr=left),
    Row(
        "the log is lost, and stdout is JSON",
        (*LOGGED, "--json"),
        0,
        ('"converted": 1',),
        stderr=full,
        untold=(LOST,),
    ),
    Row(
        "errors cannot be told",
        ("convert", "nothing.svs", "--to", "to"),
        1,
        (LOST,),
        (),
        stderr=left,
    ),
    # One bad place.
    Row("a folder that may not be read", SMALL, 0, ("locked: skipped", DENIED), prepare=locked),
    Row("the same, watched", ONCE, 0, ("locked: skipped", DENIED), prepare=locked),
    Row("a folder that is listed only", SMALL, 0, ("b.svs: skipped", DENIED), prepare=listed_only),
    Row("the folder itself", SMALL, 1, ("in: Permission denied",), (), prepare=all_locked),
    Row("the same, watched", ONCE, 1, ("in: Permission denied",), (), prepare=all_locked),
    Row("nothing else", SMALL, 1, ("locked: skipped", "without slides"), (), only_locked),
    Row("a broken link", SMALL, 0, ("b.svs: skipped, it is a link to",), prepare=broken_link),
    Row("the same, watched", ONCE, 0, ("b.svs: skipped, it is a link to",), prepare=broken_link),
    Row("a link to itself", SMALL, 0, ("b.svs: skipped, it is a link to",), prepare=loop),
    Row("a link to a folder", SMALL, 0, ("more: skipped, it is a link to",), prepare=linked_folder),
    Row("the same, watched", ONCE, 0, ("more: skipped, it is a link to",), prepare=linked_folder),
    Row("a pipe with a slide's name", SMALL, 0, ("neither a file nor",), prepare=pipe),
    Row("the same, watched", ONCE, 0, ("neither a file nor",), prepare=pipe),
    Row("a name that is no id", SMALL, 2, ("'a b' cannot be an id",), prepare=no_id),
    Row("the same, watched", ONCE, 1, ("'a b' cannot be an id",), prepare=no_id),
    Row("a name in no encoding", SMALL, 2, ("cannot be an id",), prepare=odd_bytes),
    Row("the same, watched", ONCE, 1, ("cannot be an id",), prepare=odd_bytes),
    Row("a name of two lines", SMALL, 0, ("skipped, its name has",), prepare=line_break),
    # The environment.
    Row("nothing may be written", SMALL, 1, ("no permission", "4 more slides"), (), closed),
    Row("the same, watched", ONCE, 1, ("no permission", "no slide is handed on"), (), closed),
    # Prompts.
    Row("nobody answers", ("delete", "to/images/a"), 1, (NOBODY,), (PYRAMID,), published, nobody),
    Row(
        "nobody answers at the desk",
        ("slides", "delete", "a", "--in", "to"),
        1,
        (NOBODY,),
        prepare=published,
        stdin=nobody,
    ),
    Row("an id to delete", ("delete", "a", "--in", "to", "--yes"), 0, ("removed",), (), published),
    Row("an id of nothing", ("delete", "b", "--in", "to", "--yes"), 1, ("no pyramid",), ()),
    Row("no id", ("delete", "../b", "--in", "to", "--yes"), 2, ("cannot be an id",), ()),
]


@pytest.fixture(scope="module")
def slide(real_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ends") / "a.svs"
    forge_svs(path, tissue=real_slide, size=(500, 300), levels=(1,))
    os.utime(path, (1e9, 1e9))
    return path


@pytest.fixture
def folder(slide: Path, tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "in").mkdir()
    shutil.copy2(slide, tmp_path / "in/a.svs")
    yield tmp_path
    for name in ("in", "in/x", "in/locked", "to"):
        if (tmp_path / name).exists():
            (tmp_path / name).chmod(0o700)


def unprivileged() -> list[str]:
    """What has permissions apply where the tests run as root."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner"]


@pytest.mark.skipif(sys.platform != "linux", reason="setpriv and /dev/full are Linux's")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.situation}: {row.words[0]}")
def test_situations(row: Row, folder: Path) -> None:
    row.prepare(folder)
    with ExitStack() as stack:
        streams: dict[str, Any] = {
            name: chosen(stack) if (chosen := getattr(row, name)) else subprocess.PIPE
            for name in ("stdin", "stdout", "stderr")
        }
        process = stack.enter_context(
            subprocess.Popen(
                [*unprivileged(), *PROGRAM, *row.words],
                cwd=folder,
                **streams,
            )
        )
        out, err = process.communicate(timeout=PATIENCE)
    said = b"".join(part for part in (out, err) if part).decode()
    assert process.returncode == row.code, said
    assert "Traceback" not in said
    for sentence in row.told:
        assert said.count(sentence) >= 1, said
    for sentence in row.untold:
        assert sentence not in said
    for place in row.there:
        assert (folder / place).exists()
    assert not list(folder.glob("to/images/.*"))


def test_stdin_that_is_closed(folder: Path) -> None:
    published(folder)
    words = " ".join([f"'{sys.executable}'", "-m", "vsv_pyramid", "delete", "to/images/a", "<&-"])
    done = subprocess.run(
        ["sh", "-c", words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, f"Stopped: {NOBODY}.\n")
    assert (folder / PYRAMID).exists()


class TestSignals:
    """A server that takes a request and never answers, in C code that no signal interrupts."""

    @pytest.fixture
    def asked(self, proxy: Proxy) -> Iterator[threading.Event]:
        asked, over = threading.Event(), threading.Event()

        def fault(handler: Handler, request: Request) -> bool:
            if "boto" in request.headers["user-agent"].lower():
                return False  # it waits in Python, and is stopped by the first
            asked.set()
            over.wait(PATIENCE)
            handler.hang_up()
            return True

        proxy.fault = fault
        yield asked
        over.set()

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no such signals")
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    @pytest.mark.parametrize("command", ["convert", "delete"])
    def test_a_second_one_ends_it_at_once(
        self, asked: threading.Event, number: int, command: str, folder: Path, place: Place
    ) -> None:
        words = {
            "convert": ("convert", "in/a.svs", "--to", str(place), "--quiet"),
            "delete": ("delete", f"{place}/images/a", "--yes"),
        }
        process = subprocess.Popen(
            [*PROGRAM, *words[command]], cwd=folder, stderr=subprocess.PIPE, text=True
        )
        assert asked.wait(PATIENCE)
        process.send_signal(number)
        err = insist(process, number)
        assert process.returncode == EXIT_SIGNALLED + number
        assert err == (
            "Stopped at once: what is half-made is cleared by the slide's next conversion.\n"
        )


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("words", [LOGGED, SMALL], ids=["json", "text"])
def test_a_pipe_that_is_full_does_not_make_it_deaf(folder: Path, words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    process = subprocess.Popen(
        [*PROGRAM, *words], cwd=folder, stdout=writer, stderr=writer, text=True
    )
    until(lambda: is_caught(process.pid, signal.SIGTERM))
    insist(process, signal.SIGTERM)
    assert process.returncode == EXIT_SIGNALLED + signal.SIGTERM
    os.close(reader)
    os.close(writer)


def is_caught(pid: int, number: int) -> bool:
    """Whether the process has a handler for the signal by now."""
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = re.findall(r"SigCgt:\s*([0-9a-f]+)", status)
    return bool(int(caught, 16) >> (number - 1) & 1)


def insist(process: subprocess.Popen[str], number: int) -> str:
    """Signals again and again, as somebody would who waits."""
    while True:
        try:
            return process.communicate(timeout=0.1)[1]
        except subprocess.TimeoutExpired:
            process.send_signal(number)


@pytest.mark.parametrize(
    ("code", "status", "told"),
    [("AccessDenied", 403, "access is refused"), ("NoSuchBucket", 404, "no such bucket")],
)
def test_a_bucket_that_is_closed_or_gone(
    run: Run, proxy: Proxy, place: Place, folder: Path, code: str, status: int, told: str
) -> None:
    for name in "bcde":
        shutil.copy2(folder / "in/a.svs", folder / f"in/{name}.svs")

    def fault(handler: Handler, request: Request) -> bool:
        is_asked = "/images/images/" in request.path.replace(place.prefix, "images")
        if is_asked:
            handler.refuse(status, code)
        return is_asked

    proxy.fault = fault
    outcome = run("convert", folder / "in", "--to", place)
    assert outcome.code == 1
    assert outcome.err.count("Error: ") == 2
    assert outcome.err.count(told) == 2
    assert "Warning: 3 more slides are left for now; the same command takes them" in outcome.err
    assert outcome.out == "0 converted, 0 skipped, 2 failed, 3 left\n"
    proxy.fault = lambda *_: False
    assert run("convert", folder / "in", "--to", place).code == 0


@pytest.mark.parametrize(
    ("error", "whole"),
    [
        (StoreRefused("s3://b", "there is no such bucket"), True),
        (StoreUnavailable("s3://b", "does not answer"), True),
        (QueueError("slides", "refused"), True),
        (StoreError("s3://b/images/a", "holds another file's pyramid"), False),
        (SlideError("a.svs", "bad"), False),
        (OSError(28, "No space left on device"), True),
        (OSError(30, "Read-only file system"), True),
        (OSError(2, "No such file or directory"), False),
        (OSError(5, "Input/output error"), False),
    ],
)
def test_which_trouble_is_whose(error: Exception, whole: bool) -> None:
    assert is_environment(error) is whole


def test_paths_are_places(slide: Path, tmp_path: Path) -> None:
    summary = convert(slide, tmp_path, ConvertOptions(tile_size=256, workers=1))
    assert summary.target == str(tmp_path / "images/a/DeepZoom.dzi")
    assert open_pyramid(tmp_path / "images/a")[1] == "images/a"
    assert str(open_store(tmp_path)) == str(tmp_path)
    assert is_archive(tmp_path / "a.zip")


def test_a_system_that_does_not_tell_of_its_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> set[int]:
        raise PermissionError

    monkeypatch.setattr(os, "sched_getaffinity", refuse, raising=False)
    assert usable_cpus() == (os.cpu_count() or 1)
