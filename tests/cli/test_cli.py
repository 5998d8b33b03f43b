"""The command line: what it prints, its exit codes, and a sentence for whatever goes wrong."""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image, features
from tifffile import TiffWriter

from tests.conftest import Run
from tests.support.clock import FakeClock, until
from tests.support.forge import damage_tile, forge_svs
from vsv_pyramid.cli import convert as cli_convert
from vsv_pyramid.cli import display, messages
from vsv_pyramid.cli import main as cli
from vsv_pyramid.runtime import signals
from vsv_pyramid.runtime.progress import Progress

ROOT = Path(__file__).parents[2]
PROGRAM = [str(Path(sys.executable).with_name("vsv-pyramid"))]
BEGIN = """
from vsv_pyramid.__main__ import main

main()
"""


def assert_one_sentence(err: str, *words: str) -> None:
    assert err.count("Error: ") == 1, err
    assert "Traceback" not in err
    for word in words:
        assert word in err, err


def test_convert(run: Run, small_slide: Path) -> None:
    outcome = run("convert", small_slide, "--tile-size", 512)
    assert outcome.code == 0
    assert outcome.err == ""
    assert "small: 23 tiles" in outcome.out
    assert outcome.out.endswith("1 converted, 0 skipped, 0 failed\n")
    assert Path("images/small/DeepZoom.dzi").exists()
    again = run("convert", small_slide, "--tile-size", 512)
    assert again.code == 0
    assert "skipped, the same is published" in again.out
    assert again.out.endswith("0 converted, 1 skipped, 0 failed\n")


def test_one_that_fails_does_not_stop_the_others(
    run: Run, small_slide: Path, tmp_path: Path
) -> None:
    Path("a.svs").write_text("not a slide")
    outcome = run("convert", "a.svs", small_slide)
    assert outcome.code == 65
    assert_one_sentence(outcome.err, "a.svs", "neither a slide nor an image")
    assert outcome.out.endswith("1 converted, 0 skipped, 1 failed\n")


def test_convert_as_json(run: Run, small_slide: Path) -> None:
    Path("b.svs").write_text("not a slide")
    outcome = run("convert", small_slide, "b.svs", "--json", "--to", "to", "--id", "x")
    assert outcome.code == 2
    outcome = run("convert", small_slide, "b.svs", "--json", "--to", "to")
    assert outcome.code == 65
    result = json.loads(outcome.out)
    assert [slide["status"] for slide in result["slides"]] == ["converted", "failed"]
    assert (result["converted"], result["skipped"], result["failed"]) == (1, 0, 1)


def test_quiet(run: Run, small_slide: Path) -> None:
    outcome = run("convert", small_slide, "--quiet", "--associated", "label")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    outcome = run("convert", small_slide, "--associated", "label", "--overwrite")
    assert "the slide has no label image" in outcome.err


def test_dry_run(run: Run, small_slide: Path) -> None:
    outcome = run("convert", small_slide, "--dry-run")
    assert outcome.code == 0
    assert "1,501 x 1,103 px, 12 levels, 18 tiles of 720 px, 21 objects" in outcome.out
    assert not Path("images").exists()
    (planned,) = json.loads(run("convert", small_slide, "--dry-run", "--json").out)["slides"]
    assert (planned["tiles"], planned["objects"], planned["id"]) == (18, 21, "small")


def test_info(run: Run, real_slide: Path) -> None:
    outcome = run("info", real_slide)
    assert outcome.code == 0
    for words in (
        "2,220 x 2,967 px",
        "240x240 px",
        "JPEG",
        "RGB",
        "20x",
        "0.499 x 0.499",
        "not stated (vendor aperio)",
        "2009-12-29T09:59:15",
        "label, macro, thumbnail",
        "not stated",
        "13 levels, 38 tiles of 720 px, 41 objects, lossless lane (the slide's own JPEG tiles",
        "$0.0002",
    ):
        assert words in outcome.out
    facts = json.loads(run("info", real_slide, "--json").out)
    assert facts["compression"] == "JPEG"
    assert facts["plan"]["tile_size"] == 720


def test_info_of_a_plain_image(run: Run) -> None:
    Image.new("RGB", (10, 10)).save("a.png")
    outcome = run("info", "a.png")
    assert outcome.code == 0
    assert "Magnification:     not stated" in outcome.out


def test_verify(run: Run, small_slide: Path) -> None:
    run("convert", small_slide)
    outcome = run("verify", "images/small", "--deep", "--against", small_slide)
    assert outcome.code == 0
    assert "images/small: good, 18 tiles checked, " in outcome.out
    assert "lowest PSNR" in outcome.out
    Path("images/small/DeepZoom_files/11/0_0.jpeg").unlink()
    outcome = run("verify", "images/small")
    assert outcome.code == 1
    assert "error: tile 11/0_0 is missing" in outcome.out
    report = json.loads(run("verify", "images/small", "--json").out)
    assert report["errors"] == ["tile 11/0_0 is missing"]


def test_version(run: Run) -> None:
    outcome = run("--version")
    assert outcome.code == 0
    pillow = "pillow-simd" if ".post" in PIL.__version__ else "pillow"
    for name in ("vsv-pyramid ", "openslide 4", "libjpeg-turbo ", f"{pillow} {PIL.__version__}"):
        assert name in outcome.out


def test_pillow_has_littlecms() -> None:
    """Or the tests of colours would be skipped."""
    assert features.check("littlecms2")


@pytest.mark.skipif(sys.platform != "linux", reason="make installs Pillow-SIMD on Linux only")
def test_pillow_simd_is_really_in_place() -> None:
    if os.uname().machine == "x86_64":
        assert ".post" in PIL.__version__


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--tile-size", "100"], "multiple of 16"),
        (["--tile-size", "48"], "multiple of 16"),
        (["--tile-size", "4112"], "from 64 to 4096"),
        (["--tile-size", "big"], "neither 'auto' nor a number"),
        (["--quality", "0"], "from 1 to 100"),
        (["--quality", "much"], "not a valid integer"),
        (["--workers", "0"], "from 1 to 1024"),
        (["--associated", "thumbnail,lable"], "of thumbnail, label, macro"),
        (["--background", "blurple"], "is no colour"),
        (["--color", "cmyk"], "not one of"),
        (["--on-error", "ignore"], "not one of"),
        (["--id", "../x"], "cannot be an id"),
        (["--to", "s3x://bucket"], "no place to publish in"),
        (["--to", ""], "no place to publish in"),
        (["--to", "file://"], "no place to publish in"),
        (["--to", "file://elsewhere/x"], "no place to publish in"),
        ([""], "an empty path"),
        (["--what"], "No such option"),
    ],
)
def test_bad_arguments(run: Run, small_slide: Path, words: list[str], sentence: str) -> None:
    outcome = run("convert", small_slide, *words)
    assert outcome.code == 2
    assert_one_sentence(outcome.err, sentence)
    assert list(Path().iterdir()) == []


GIVEN = {
    "VSV_PYRAMID_DETAILS": "lab",
    "VSV_PYRAMID_LAYOUT": "packed",
    "VSV_PYRAMID_IDS": "safe",
    "VSV_PYRAMID_SLIDE_ID_PATTERN": r"S\d\d-\d{4,6} [A-Z]'?\d+",
    "VSV_PYRAMID_TIME_ZONE": "Europe/Berlin",
    "VSV_PYRAMID_PRIVATE": "/srv/private",
}


def test_options_that_variables_give(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    options = cli.options_of([])
    assert (options.details, options.ids, options.time_zone) == ("lab", "safe", "Europe/Berlin")
    assert options.lab_id_pattern == GIVEN["VSV_PYRAMID_SLIDE_ID_PATTERN"]
    assert (options.layout, options.private_to) == ("packed", "/srv/private")
    options = cli.options_of(["--details", "none", "--ids", "strict", "--time-zone", "+01:00"])
    assert (options.details, options.ids, options.time_zone) == ("none", "strict", "+01:00")


def test_empty_variables_give_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A template's empty parameter is an empty variable."""
    expected = cli.options_of([])
    for name in GIVEN:
        monkeypatch.setenv(name, "")
    assert cli.options_of([]) == expected


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DETAILS", "all", "not one of"),
        ("LAYOUT", "szi", "not one of"),
        ("IDS", "any", "not one of"),
        ("SLIDE_ID_PATTERN", "S(", "--slide-id-pattern S( is refused"),
        ("TIME_ZONE", "Europe/Atlantis", "no time zone"),
    ],
)
def test_bad_variables(
    run: Run,
    small_slide: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    sentence: str,
) -> None:
    monkeypatch.setenv(f"VSV_PYRAMID_{name}", value)
    outcome = run("convert", small_slide)
    assert outcome.code == 2
    assert_one_sentence(outcome.err, sentence)
    assert list(Path().iterdir()) == []


def test_no_arguments(run: Run) -> None:
    assert run("convert").code == 2
    assert run("transmogrify").code == 2
    assert "Commands:" in run("--help").out


def test_two_slides_of_one_id_are_refused_before_anything_is_made(
    run: Run, small_slide: Path
) -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
        Path(folder, "170782.svs").write_bytes(small_slide.read_bytes())
    outcome = run("convert", "a", "b")
    assert outcome.code == 2
    for line in outcome.err.splitlines():
        assert_one_sentence(line, "a/170782.svs", "b/170782.svs", "--id")
    assert outcome.err.count("Error: ") == 2
    assert not Path("images").exists()
    assert run("convert", "a", "b", "--id", "x").code == 2


def cut(slide: Path) -> None:
    data = slide.read_bytes()
    Path("bad.svs").write_bytes(data[: len(data) // 2])


def cut_tail(slide: Path) -> None:
    """The base level is there; the last directory is not."""
    Path("bad.svs").write_bytes(slide.read_bytes()[:-1000])


def cut_data(slide: Path) -> None:
    """The directories come first, the tiles they point to are cut off."""
    forge_svs(Path("bad.svs"), tissue=slide, size=(2000, 2000), levels=(1,))
    data = Path("bad.svs").read_bytes()
    Path("bad.svs").write_bytes(data[: len(data) // 2])


def text(_: Path) -> None:
    Path("bad.svs").write_text("Dear pathologist,")


def empty(_: Path) -> None:
    Path("bad.svs").touch()


def folder(_: Path) -> None:
    Path("bad.svs").mkdir()


def strange_compression(_: Path) -> None:
    with TiffWriter("bad.svs") as tiff:
        pixels = np.zeros((32, 32, 3), np.uint8)
        tiff.write(pixels, photometric="rgb", tile=(16, 16), compression="lzma")


def sixteen_bits(_: Path) -> None:
    Image.new("I;16", (9, 9)).save("bad.png")


def cut_png(_: Path) -> None:
    Image.effect_noise((99, 99), 9).save("bad.png")
    Path("bad.png").write_bytes(Path("bad.png").read_bytes()[:500])


def text_named_as_an_image(_: Path) -> None:
    Path("bad.png").write_text("Dear pathologist,")


def nothing(_: Path) -> None:
    pass


def damaged(slide: Path) -> None:
    forge_svs(Path("bad.svs"), tissue=slide, size=(500, 500), levels=(1,))
    damage_tile(Path("bad.svs"), 0, 0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (nothing, ["no such file", "check the path"]),
        (folder, ["a folder without slides"]),
        (text, ["neither a slide nor an image"]),
        (empty, ["neither a slide nor an image"]),
        (text_named_as_an_image, ["neither a slide nor an image"]),
        (cut, ["cut off", "copy it"]),
        (cut_tail, ["cut off", "copy it"]),
        (cut_data, ["cut off at", "copy it"]),
        (cut_png, ["cut off", "copy it"]),
        (sixteen_bits, ["8 bits"]),
        (strange_compression, ["OpenSlide cannot", "compression"]),
        (damaged, ["tile 9/0_0 cannot be made", "column 0, row 0", "--on-error blank"]),
    ],
)
def test_bad_slides(run: Run, real_slide: Path, make: object, words: list[str]) -> None:
    assert callable(make)
    make(real_slide)
    slide = next(Path().glob("bad.*"), Path("bad.svs"))
    outcome = run("convert", slide)
    assert outcome.code == (65 if slide.is_file() else 1)
    assert_one_sentence(outcome.err, slide.name, *words)
    assert not Path("images").exists()


def test_a_name_that_is_no_id(run: Run, small_slide: Path) -> None:
    Path("case 12 slide 3.svs").write_bytes(small_slide.read_bytes())
    outcome = run("convert", "case 12 slide 3.svs")
    assert outcome.code == 2
    assert_one_sentence(outcome.err, "'case 12 slide 3' cannot be an id", "--id")
    assert run("convert", "case 12 slide 3.svs", "--id", "12-3").code == 0


def test_a_target_that_is_a_file(run: Run, small_slide: Path) -> None:
    Path("to").touch()
    outcome = run("convert", small_slide, "--to", "to")
    assert outcome.code == 1
    assert_one_sentence(outcome.err, "a file is in the way", "another folder")
    Path("images").touch()
    outcome = run("convert", small_slide)
    assert outcome.code == 1
    assert_one_sentence(outcome.err, "a file is in the way", "another folder")


def without_superpowers(*words: object) -> subprocess.CompletedProcess[str]:
    """The command line in a process to which permissions apply even where it runs as root."""
    drop = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner"]
    prefix = drop if os.geteuid() == 0 else []
    command = [*prefix, *PROGRAM, *(str(word) for word in words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(sys.platform != "linux", reason="setpriv is Linux's")
def test_no_permission(run: Run, small_slide: Path) -> None:
    Path("to").mkdir(mode=0o500)
    outcome = without_superpowers("convert", small_slide, "--to", "to")
    assert outcome.returncode == 1
    assert_one_sentence(outcome.stderr, "no permission", "another folder")
    slide = Path("a.svs")
    slide.write_bytes(small_slide.read_bytes())
    slide.chmod(0)
    outcome = without_superpowers("convert", slide)
    assert outcome.returncode == 1
    assert_one_sentence(outcome.stderr, "a.svs", "Permission denied", "permissions")


def staged_tiles() -> list[str]:
    folders = os.walk("to/images/.large.partial/DeepZoom_files")
    return [name for _, _, names in folders for name in names if name.endswith(".jpeg")]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no such signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_it_and_nothing_is_left(
    run: Run, real_slide: Path, number: signal.Signals, code: int
) -> None:
    forge_svs(Path("large.svs"), tissue=real_slide, size=(60000, 60000), levels=(1,))
    process = subprocess.Popen(
        [*PROGRAM, "convert", "large.svs", "--to", "to"], stderr=subprocess.PIPE, text=True
    )
    until(lambda: len(staged_tiles()) > 20)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in err
    assert "nothing half-made is published" in err
    assert not Path("to").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no such signals")
def test_a_second_signal_does_not_disturb_the_tidying_up(run: Run, real_slide: Path) -> None:
    forge_svs(Path("large.svs"), tissue=real_slide, size=(60000, 60000), levels=(1,))
    # All signals are one press, however slow this machine is.
    begin = f"from vsv_pyramid.runtime import signals; signals._ECHO_SECONDS = float('inf'){BEGIN}"
    words = ["convert", "large.svs", "--to", "to", "--tile-size", "64"]
    command = [sys.executable, "-c", begin, *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until(lambda: len(staged_tiles()) > 2000)
    process.send_signal(signal.SIGINT)
    until(lambda: len(staged_tiles()) < 2000)
    for _ in range(5):
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.endswith("Stopped: nothing half-made is published.\n")
    assert not Path("to").exists()


SIGNAL_AT_IMPORT = """
import os, signal, sys

module = sys.argv.pop(1)

class Finder:
    @staticmethod
    def find_spec(name, *_):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder)
"""
SIGNAL_AT_EXIT = """
import atexit, os, signal

atexit.register(os.kill, os.getpid(), signal.SIGINT)
"""


def test_a_mistyped_command_is_guessed(run: Run) -> None:
    outcome = run("conver", "a.svs")
    assert outcome.code == 2
    assert "No such command 'conver'. Did you mean 'convert'?" in outcome.err


@pytest.mark.parametrize("slide", ["170782.svs", "scans/170782", "s3://bucket/170782.svs"])
def test_a_slide_without_a_command(run: Run, slide: str) -> None:
    outcome = run(slide)
    assert outcome.code == 2
    assert f"'{slide}' is no command; to convert a slide, put convert before it." in outcome.err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no such signals")
@pytest.mark.parametrize(
    ("before", "words", "code"),
    [
        (SIGNAL_AT_IMPORT, "vsv_pyramid.cli.main --version", -signal.SIGINT),
        (SIGNAL_AT_IMPORT, "numpy info none.svs", -signal.SIGINT),
        (SIGNAL_AT_IMPORT, "numpy --version", 130),
        (SIGNAL_AT_IMPORT, "boto3 info s3://bucket/images/a", 130),
        (SIGNAL_AT_EXIT, "--version", -signal.SIGINT),
        (SIGNAL_AT_EXIT, "info none.svs", -signal.SIGINT),
    ],
    ids=["import", "command", "versions", "late import", "end", "end of a failure"],
)
def test_a_signal_at_the_beginning_or_the_end_is_no_traceback(
    before: str, words: str, code: int
) -> None:
    """Before the first line of ours, and after the last one, it ends the process."""
    ended = subprocess.run(
        [sys.executable, "-c", before + BEGIN, *words.split()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == code
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_as_soon_as_it_is_listened_to(
    run: Run, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    listen = signal.signal

    def at_once(listened_to: int, handler: Any) -> object:
        before = listen(listened_to, handler)
        if (listened_to, handler) == (number, signals._handle):
            signal.raise_signal(number)
        return before

    monkeypatch.setattr(signal, "signal", at_once)
    outcome = run("--version")
    assert (outcome.code, outcome.out) == (128 + number, "")
    assert outcome.err == "Stopped: nothing half-made is published.\n"


def test_a_signal_while_an_error_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "say_error", lambda _: signal.raise_signal(signal.SIGTERM))
    outcome = run("info", "none.svs")
    assert (outcome.code, outcome.out) == (143, "")
    assert outcome.err == "Stopped: nothing half-made is published.\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no such signal")
def test_a_signal_that_was_ignored_at_the_start_is_ignored(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        monkeypatch.setattr(cli, "say_error", lambda _: signal.raise_signal(signal.SIGHUP))
        assert run("info", "none.svs").code == 1
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_swallowed_signal_is_raised_again(
    run: Run, small_slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where it arrives within a destructor, which cannot raise."""

    class Swallowing:
        def __enter__(self) -> Swallowing:
            with contextlib.suppress(BaseException):
                signal.raise_signal(signal.SIGTERM)
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def __call__(self, _: Progress) -> None:
            pass

    monkeypatch.setattr(messages, "ProgressDisplay", lambda _: Swallowing())
    assert run("convert", small_slide).code == 143
    assert not Path("images").exists()


def test_a_signal_within_a_destructor_is_no_traceback(
    run: Run, small_slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dying:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(cli_convert, "check_places", lambda *_: Dying())
    outcome = run("convert", small_slide, "--dry-run")
    assert outcome.code == 143
    assert outcome.err == "Stopped: nothing half-made is published.\n"


def test_a_folder_without_slides_does_not_stop_the_others(run: Run, small_slide: Path) -> None:
    Path("empty").mkdir()
    outcome = run("convert", "empty", small_slide)
    assert outcome.code == 1
    assert_one_sentence(outcome.err, "empty: a folder without slides")
    assert outcome.out.endswith("1 converted, 0 skipped, 1 failed\n")


def test_odd_names(run: Run, small_slide: Path) -> None:
    odd = os.fsdecode(b"caf\xe9-\xff.svs")
    Path(odd).write_bytes(small_slide.read_bytes())
    assert run("convert", odd, "--id", "x").code == 0
    assert run("convert", odd, "--id", "x", "--json").code == 0
    for command in ("convert", "info", "verify"):
        outcome = run(command, "x" * 300)
        assert outcome.code == 1
        assert_one_sentence(outcome.err, "x" * 300)
    Path("loop").symlink_to("loop")
    for command in ("convert", "verify"):
        outcome = run(command, "loop")
        assert outcome.code == 1
        assert_one_sentence(outcome.err, "loop")


@pytest.mark.skipif(sys.platform != "linux", reason="setpriv and /dev/full are Linux's")
def test_what_cannot_be_read_or_written_is_said(run: Run, small_slide: Path) -> None:
    Path("slides/locked").mkdir(parents=True)
    Path("slides/a.svs").write_bytes(small_slide.read_bytes())
    Path("slides/locked").chmod(0)
    outcome = without_superpowers("convert", "slides", "--quiet")
    assert outcome.returncode == 0
    locked = "Warning: slides/locked: skipped, it cannot be read (Permission denied)\n"
    assert outcome.stderr == locked
    outcome = without_superpowers("convert", "slides/locked")
    assert outcome.returncode == 1
    assert_one_sentence(outcome.stderr, "slides/locked", "permissions")
    outcome = without_superpowers("verify", "slides/locked/images/a")
    assert outcome.returncode == 1
    assert_one_sentence(outcome.stderr, "slides/locked/images/a", "no permission")
    with Path("/dev/full").open("w") as full:
        info = subprocess.run(
            [*PROGRAM, "info", str(small_slide)], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert b"Traceback" not in info.stderr
    assert info.returncode == 1


def test_without_stderr(small_slide: Path, tmp_path: Path) -> None:
    command = f"'{PROGRAM[0]}' convert '{small_slide}' --to '{tmp_path}' 2>&-"
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)
    assert (tmp_path / "images/small/DeepZoom.dzi").exists()


def test_info_of_a_slide_that_has_no_id_and_damage(run: Run, real_slide: Path) -> None:
    damaged(real_slide)
    Path("bad.svs").rename("case 12.svs")
    outcome = run("info", "case 12.svs")
    assert outcome.code == 0
    assert "500 x 500 px" in outcome.out
    outcome = run("convert", "case 12.svs", "--dry-run")
    assert outcome.code == 2
    assert_one_sentence(outcome.err, "case 12.svs: 'case 12' cannot be an id")


def test_a_closed_pipe_is_no_error(real_slide: Path) -> None:
    command = [*PROGRAM, "info", str(real_slide)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


@pytest.mark.parametrize("before", [signal.default_int_handler, signal.SIG_IGN])
def test_python_m(
    before: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["vsv-pyramid", "--version"])
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, before)
    try:
        with pytest.raises(SystemExit) as exit_:
            runpy.run_module("vsv_pyramid", run_name="__main__")
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert exit_.value.code == 0
    assert "openslide" in capsys.readouterr().out


def test_the_launcher_of_a_checkout(run: Run, small_slide: Path) -> None:
    command = [sys.executable, str(ROOT / "cli.py"), "convert", str(small_slide)]
    subprocess.run(command, check=True, capture_output=True)
    assert Path("images/small/DeepZoom.dzi").exists()


def test_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], clock: FakeClock
) -> None:
    with display.ProgressDisplay("170782.svs") as show:
        until(clock.waiting)
        for second in range(30):
            show(Progress(second, 30, second * 10**8))
            clock.advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "170782.svs: 0 of 30 tiles",
        "170782.svs: 8 of 30 tiles, 0.100 gigapixels/s",
        "170782.svs: 16 of 30 tiles, 0.100 gigapixels/s",
        "170782.svs: 24 of 30 tiles, 0.100 gigapixels/s",
    ]


def test_a_line_while_a_slide_is_opened(
    capsys: pytest.CaptureFixture[str], clock: FakeClock
) -> None:
    """Of one that states a million tiles, a library takes its time."""
    with display.ProgressDisplay("170782.svs"):
        until(clock.waiting)
        clock.advance(1)
        assert capsys.readouterr().err == "170782.svs: is opened and looked at\n"
        clock.advance(60)
    with display.ProgressDisplay("170782.svs"):
        until(clock.waiting)
    until(lambda: not clock.waiting())
    assert capsys.readouterr().err == ""


def test_a_bar_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")  # or how fast it was decides how much of it is shown
    with display.ProgressDisplay("170782.svs") as show:
        show(Progress(30, 30, 10**9))
    bar = capsys.readouterr().err
    assert "170782.svs" in bar
    assert "30/30" in bar
    assert "gigapixels/s" in bar
