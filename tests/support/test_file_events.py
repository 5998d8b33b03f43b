"""What is done to files is told while it is asked for, and in no thread's way."""

from __future__ import annotations

import threading
from pathlib import Path
from types import BuiltinFunctionType, FrameType

from tests.support import file_events


def test_events_below_a_folder(tmp_path: Path) -> None:
    seen: list[tuple[int, bool]] = []

    def trace(*_: FrameType | str | object) -> None:
        return None

    threading.settrace(trace)
    try:
        with file_events.below(tmp_path, lambda *event: seen.append(event)) as events:
            (tmp_path / "a").write_text("1")
            (tmp_path / "a").read_text()
            Path(__file__).read_text()
            assert threading.gettrace() is None  # or a new thread could fail in the hook
        assert threading.gettrace() is trace
    finally:
        threading.settrace(None)
    (tmp_path / "b").mkdir()
    assert seen == [(1, True), (2, False)]
    assert events.count == 2
    assert type(file_events._Hook.__call__) is BuiltinFunctionType
