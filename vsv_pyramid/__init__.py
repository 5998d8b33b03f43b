"""Whole slide images as static DeepZoom pyramids.

    from vsv_pyramid import convert, verify

    made = convert("170782.svs", "www")
    assert not verify(made.target, deep=True).errors

What is listed here is for other programs to use. Each name is imported when it is asked for; all
else in the package may change from one release to the next.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vsv_pyramid.catalog import Rebuilt, rebuild_catalog
    from vsv_pyramid.conversion import convert
    from vsv_pyramid.conversion.summary import Summary
    from vsv_pyramid.deletion import delete
    from vsv_pyramid.errors import (
        CdrError,
        CdrUnavailable,
        DescriptorError,
        JobFailed,
        ListenError,
        NoSuchObject,
        OptionError,
        QueueError,
        QueueUnavailable,
        ReviewConflict,
        ReviewError,
        SlideAccessError,
        SlideChanged,
        SlideError,
        SlideIncomplete,
        SlideUnavailable,
        StoreBusy,
        StoreError,
        StoreRefused,
        StoreUnavailable,
        StreamError,
        TileError,
        TooLarge,
        Unspliceable,
        VsvPyramidError,
    )
    from vsv_pyramid.inspection import info
    from vsv_pyramid.planning.options import ConvertOptions
    from vsv_pyramid.runtime.progress import Progress
    from vsv_pyramid.store import S3Options, Store, open_store
    from vsv_pyramid.verification import verify
    from vsv_pyramid.verification.findings import Report

__version__ = "0.1.0"

_MODULES = {
    "catalog": ("Rebuilt", "rebuild_catalog"),
    "conversion": ("convert",),
    "conversion.summary": ("Summary",),
    "deletion": ("delete",),
    "errors": (
        *("CdrError", "CdrUnavailable", "DescriptorError", "JobFailed", "ListenError"),
        *("NoSuchObject", "OptionError", "QueueError", "QueueUnavailable", "ReviewConflict"),
        *("ReviewError", "SlideAccessError", "SlideChanged", "SlideError", "SlideIncomplete"),
        *(
            "SlideUnavailable",
            "StoreBusy",
            "StoreError",
            "StoreRefused",
            "StoreUnavailable",
            "StreamError",
        ),
        *("TileError", "TooLarge", "Unspliceable", "VsvPyramidError"),
    ),
    "inspection": ("info",),
    "planning.options": ("ConvertOptions",),
    "runtime.progress": ("Progress",),
    "store": ("S3Options", "Store", "open_store"),
    "verification": ("verify",),
    "verification.findings": ("Report",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "CdrError",
    "CdrUnavailable",
    "ConvertOptions",
    "DescriptorError",
    "JobFailed",
    "ListenError",
    "NoSuchObject",
    "OptionError",
    "Progress",
    "QueueError",
    "QueueUnavailable",
    "Rebuilt",
    "Report",
    "ReviewConflict",
    "ReviewError",
    "S3Options",
    "SlideAccessError",
    "SlideChanged",
    "SlideError",
    "SlideIncomplete",
    "SlideUnavailable",
    "Store",
    "StoreBusy",
    "StoreError",
    "StoreRefused",
    "StoreUnavailable",
    "StreamError",
    "Summary",
    "TileError",
    "TooLarge",
    "Unspliceable",
    "VsvPyramidError",
    "convert",
    "delete",
    "info",
    "open_store",
    "rebuild_catalog",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
