"""The kernel is optional."""

from __future__ import annotations

import runpy
import sys

import pytest

from vsv_pyramid import jpeg

KERNEL = "vsv_pyramid.jpeg.kernel"


def test_there_is_none_where_it_was_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, KERNEL, raising=False)
    assert runpy.run_module(KERNEL)["kernel"] is not None
    monkeypatch.setitem(sys.modules, "vsv_pyramid.jpeg._splice", None)
    monkeypatch.delattr(jpeg, "_splice")
    assert runpy.run_module(KERNEL)["kernel"] is None
