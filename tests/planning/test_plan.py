"""The plan of a conversion: what it refuses before anything is made."""

from __future__ import annotations

from pathlib import Path

from tests.cli.test_cli import assert_one_sentence
from tests.conftest import Run


def test_more_gigapixels_than_any_scanner_makes_are_refused(run: Run, small_slide: Path) -> None:
    """Before anything is decoded; a sentence says what allows it."""
    words = ("convert", small_slide, "--to", "to", "--max-gigapixels")
    refused = run(*words, "0.001")
    assert refused.code == 65
    assert_one_sentence(refused.err, "states 0.00166 gigapixels, more than 0.001")
    assert "give --max-gigapixels 1\n" in refused.err
    assert not Path("to").exists()
    assert run("info", small_slide, "--max-gigapixels", "0.001").code == 65
    assert run(*words, "1").code == 0
    for wrong in "0", "-1", "nan":
        outcome = run(*words, wrong)
        assert outcome.code == 2
        assert_one_sentence(outcome.err, "give a number above 0")
