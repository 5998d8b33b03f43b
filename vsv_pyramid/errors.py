"""The errors a user can cause. Each names its object and ends with the remedy.

VsvPyramidError
├── OptionError     an option's value, or an id, that is refused
├── SlideError      a slide that cannot be opened, is cut off, or changes while it is read
│   └── TileError   one tile of a slide that cannot be decoded
├── StoreError      an object of a store that cannot be read, written or replaced
└── DescriptorError a DZI descriptor or a slide.json that is not what the layout demands
"""

from __future__ import annotations


class VsvPyramidError(Exception):
    """Root of all errors that are the input's or the environment's, not the program's."""


class OptionError(VsvPyramidError):
    """An option's value, or an id, that is refused."""


class SlideError(VsvPyramidError):
    """A slide that cannot be read as it is."""

    def __init__(self, slide: object, what: str) -> None:
        super().__init__(f"{slide}: {what}")


class TileError(SlideError):
    """A tile of a slide that cannot be decoded."""


class StoreError(VsvPyramidError):
    """An object of a store that cannot be read, written or replaced."""

    def __init__(self, place: object, what: str) -> None:
        super().__init__(f"{place}: {what}")


class DescriptorError(VsvPyramidError):
    """A DZI descriptor or a slide.json that is not what the layout demands."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; convert the slide again with --overwrite")
