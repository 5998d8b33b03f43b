"""What people type to be kept: names and notes that read as they are written."""

from __future__ import annotations

import re
import unicodedata

from vsv_pyramid.errors import OptionError

LONGEST_NAME = 64  # characters

# Controls, what turns the direction of a text or is not seen, halves of characters, line ends.
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
_JOINERS = "\u200c\u200d"  # which some scripts cannot be written without
# Of other categories: what fonts leave out (Unicode's Default_Ignorable_Code_Point), and Braille's
# empty pattern.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
VARIANTS = "\ufe0e\ufe0f"  # of a sign, with colours or without


def checked(what: str, text: str, allowed: str = "") -> str:
    """The text itself. Raises OptionError for a character in it that is not seen, if it is not
    allowed: who reads the text might read another one."""
    for each in text:
        is_seen = unicodedata.category(each) not in _UNSEEN and not _BLANK.match(each)
        if not is_seen and each not in _JOINERS + allowed:
            code = f"U+{ord(each):04X}"
            raise OptionError(
                f"{what} has a character that is not seen ({code}); type it again without that"
            )
    return text


def name(text: str) -> str:
    """A person's name, in one of the forms that keyboards give it. Raises OptionError."""
    made = unicodedata.normalize("NFC", checked("the name", text)).strip()
    if made != made.strip(_JOINERS):
        raise OptionError("the name has a character that is not seen at an end; type it again")
    if not 0 < len(made) <= LONGEST_NAME:
        raise OptionError(f"a name has 1 to {LONGEST_NAME} characters; give such a one")
    return made
