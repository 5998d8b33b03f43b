"""What reaches stderr: our own lines, each on one line, and with --log-format json nothing else."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Run
from vsv_pyramid.cli.messages import sentence
from vsv_pyramid.errors import SlideError
from vsv_pyramid.words import counted, one_line

# What libraries do to stderr in the middle of a conversion.
NOISE = """
import logging, os, sys, warnings
from vsv_pyramid.conversion import making
from vsv_pyramid.cli.main import main
from vsv_pyramid.errors import SlideError
made = making._put_images
def noisy(*arguments):
    os.write(2, b"TIFFReadDirectory: Warning, Unknown field with tag 65421.\\n")
    warnings.warn("Corrupt EXIF data", UserWarning)
    logging.getLogger("tifffile").error("<tifffile.TiffTag> invalid value")
    logging.getLogger("a.library").warning("a pool\\nis full")
    logging.getLogger("vsv_pyramid.conversion").warning("%s", "two\\nlines\\x1b[2J")
    {then}
    return made(*arguments)
making._put_images = noisy
main(sys.argv[1:])
"""
ERROR = 'raise SlideError("a.svs", "the codec says:\\n\\tline 2\\r\\x00\\x1b[31m")'


def command(slide: Path, to: Path, *words: str, then: str = "") -> subprocess.CompletedProcess[str]:
    program = NOISE.replace("{then}", then)
    return subprocess.run(
        [sys.executable, "-c", program, "convert", str(slide), "--to", str(to), *words],
        capture_output=True,
        text=True,
        check=False,
    )


def test_only_our_own_lines_are_seen(small_slide: Path, tmp_path: Path) -> None:
    done = command(small_slide, tmp_path)
    assert done.returncode == 0
    assert done.stderr == "Warning: two\\nlines\\x1b[2J\n"


def test_every_line_is_json(small_slide: Path, tmp_path: Path) -> None:
    done = command(small_slide, tmp_path, "--log-format", "json")
    assert done.returncode == 0
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [event["event"] for event in events] == ["start", "warning", "done"]
    assert events[1]["message"] == "two\nlines\x1b[2J"


def test_an_error_is_one_line(small_slide: Path, tmp_path: Path) -> None:
    done = command(small_slide, tmp_path, then=ERROR)
    assert done.returncode == 65
    said = "Error: a.svs: the codec says:\\n\\tline 2\\r\\x00\\x1b[31m\n"
    assert done.stderr == "Warning: two\\nlines\\x1b[2J\n" + said
    done = command(small_slide, tmp_path, "--log-format", "json", then=ERROR)
    (*_, failed) = [json.loads(line) for line in done.stderr.splitlines()]
    assert failed["error"] == "a.svs: the codec says:\\n\\tline 2\\r\\x00\\x1b[31m"


@pytest.mark.parametrize(
    "words",
    [
        ("--quality", "0"),
        ("--quality", "many"),
        ("--tile-size", "x"),
        ("--id", "a/b"),
        ("--lane", "fast"),
        ("--to", "http://example.org"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_errors_of_options_are_json(
    run: Run, small_slide: Path, words: tuple[str, ...], first: bool
) -> None:
    json_ = ("--log-format", "json")
    outcome = run("convert", small_slide, *((*json_, *words) if first else (*words, *json_)))
    (event,) = [json.loads(line) for line in outcome.err.splitlines()]
    assert (event["event"], event["exit_code"]) == ("error", outcome.code)
    assert outcome.code == 2


def test_the_next_command_speaks_as_it_is_told(run: Run, small_slide: Path) -> None:
    run("convert", small_slide, "--quality", "0", "--log-format", "json")
    outcome = run("convert", small_slide, "--quality", "0")
    assert outcome.err.startswith("Error: ")


def test_stderr_is_as_it_was(
    run: Run, small_slide: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = sys.stderr
    run("info", small_slide)
    assert sys.stderr is before
    os.write(2, b"still there\n")
    assert capfd.readouterr().err == "still there\n"
    assert logging.getLogger("vsv_pyramid").handlers


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0 damaged tiles"),
        (1, "1 damaged tile"),
        (2, "2 damaged tiles"),
        (1000, "1,000 damaged tiles"),
    ],
)
def test_counted(number: int, said: str) -> None:
    assert counted(number, "damaged tile") == said


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a b, ü × µ", "a b, ü × µ"),
        ("a\nb\r\n", "a\\nb\\r\\n"),
        ("\x1b[31m\x00\x7f", "\\x1b[31m\\x00\\x7f"),
        ("a\u2028b\u202e", "a\\u2028b\\u202e"),
        ("\udcff", "\\udcff"),
    ],
)
def test_one_line(text: str, line: str) -> None:
    assert one_line(text) == line
    assert sentence(SlideError("a.svs", text)) == f"a.svs: {line}"
