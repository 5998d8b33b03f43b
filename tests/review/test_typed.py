"""What may be typed to be kept, and what not."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from vsv_pyramid.errors import OptionError
from vsv_pyramid.review import typed
from vsv_pyramid.review.typed import LONGEST_NAME

TURNING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


def test_each_character_is_taken_or_refused() -> None:
    for number in range(sys.maxunicode + 1):
        each = chr(number)
        category = unicodedata.category(each)
        is_taken = category not in ("Cc", "Cf", "Cs", "Zl", "Zp") or number in (0x200C, 0x200D)
        try:
            assert typed.checked("the note", each) == each
            assert is_taken, hex(number)
            assert unicodedata.bidirectional(each) not in TURNING
        except OptionError as exc:
            assert not is_taken, hex(number)
            assert f"(U+{number:04X})" in str(exc)
            assert str(exc).isprintable()


def test_what_is_allowed_besides() -> None:
    assert typed.checked("the note", "a\n\tb", "\n\t") == "a\n\tb"
    with pytest.raises(OptionError, match=r"the note has a character that is not seen \(U\+000D\)"):
        typed.checked("the note", "a\r\nb", "\n\t")


def test_a_name() -> None:
    assert typed.name("  Dr. Mu\u0308ller ") == "Dr. M\u00fcller"
    assert typed.name(LONGEST_NAME * "a") == LONGEST_NAME * "a"
    for wrong in ("", "  ", (LONGEST_NAME + 1) * "a"):
        with pytest.raises(OptionError, match="a name has 1 to 64 characters"):
            typed.name(wrong)
