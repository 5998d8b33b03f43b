"""What the system tells of changes in a folder."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def listening(folder: Path, wake: threading.Event) -> Iterator[None]:
    """Has the system set `wake` when something changes in the folder or below. Of what others write
    to a share it does not tell, and not every system can: that is what looking is for."""
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers import Observer

    class Handler(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            if event.event_type in ("created", "modified", "moved"):
                wake.set()

    with contextlib.ExitStack() as stack:
        try:
            observer = Observer()
            stack.callback(_end, observer)
            observer.schedule(Handler(), str(folder), recursive=True)
            observer.start()
        except (OSError, RuntimeError) as exc:  # no more of what it takes, or of threads
            stack.close()
            _log.info("%s: the system does not tell of changes (%s)", folder, exc)
        yield


def _end(observer: BaseObserver) -> None:
    observer.stop()
    if observer.is_alive():
        observer.join()
