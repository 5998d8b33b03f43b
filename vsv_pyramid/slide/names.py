"""Which files are looked for, by their names."""

from __future__ import annotations

from pathlib import PurePath

SLIDE_SUFFIXES = frozenset(
    [".svs", ".tif", ".tiff", ".ndpi", ".vms", ".vmu", ".scn", ".mrxs", ".svslide", ".bif", ".czi"]
)
DICOM_SUFFIX = ".dcm"  # of which a slide is several files


def is_slide(name: str) -> bool:
    """Whether a file of that name is a slide that is looked for."""
    return _is_shown(name) and PurePath(name).suffix.lower() in SLIDE_SUFFIXES


def is_dicom_name(name: str) -> bool:
    """Whether a file of that name may be one of a DICOM slide's."""
    return _is_shown(name) and PurePath(name).suffix.lower() == DICOM_SUFFIX


def _is_shown(name: str) -> bool:
    return not name.startswith(".")  # "._170782.svs" is what macOS leaves on shares
