"""What may be typed to be kept, and what not."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from vsv_pyramid.errors import OptionError
from vsv_pyramid.review import typed
from vsv_pyramid.review.typed import LONGEST_NAME

# Those of Default_Ignorable_Code_Point (DerivedCoreProperties.txt) that have another category, and
# an empty sign.
BLANK = (
    *(range(0x115F, 0x1161), range(0x17B4, 0x17B6), range(0x180B, 0x1810), range(0xFE00, 0xFE10)),
    *(range(0xFFF0, 0xFFF9), range(0xE0000, 0xE1000), (0x34F, 0x2065, 0x2800, 0x3164, 0xFFA0)),
)
TURNING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


def test_each_character_is_taken_or_refused() -> None:
    for number in range(sys.maxunicode + 1):
        each = chr(number)
        category = unicodedata.category(each)
        is_taken = category not in ("Cc", "Cf", "Cs", "Zl", "Zp") or number in (0x200C, 0x200D)
        is_taken = is_taken and not any(number in blank for blank in BLANK)
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


def test_a_name_begins_and_ends_with_what_is_seen() -> None:
    assert typed.name("\u0646\u0627\u0645\u200c\u0647\u0627") != ""
    for wrong in ("anna\u200d", "\u200canna"):
        with pytest.raises(OptionError, match="not seen at an end"):
            typed.name(wrong)


def test_a_name() -> None:
    assert typed.name("  Dr. Mu\u0308ller ") == "Dr. M\u00fcller"
    assert typed.name(LONGEST_NAME * "a") == LONGEST_NAME * "a"
    for wrong in ("", "  ", (LONGEST_NAME + 1) * "a"):
        with pytest.raises(OptionError, match="a name has 1 to 64 characters"):
            typed.name(wrong)
