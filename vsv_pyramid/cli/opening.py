"""Opens a page of this program's own server in a browser."""

from __future__ import annotations

import contextlib
import html
import os
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from pathlib import Path

from vsv_pyramid.cli.streams import echo

_PAGE = '<!doctype html><meta http-equiv="refresh" content="0;url={}"><title>Desk</title>\n'


@contextlib.contextmanager
def opening(url: str, *, is_secret: bool) -> Iterator[None]:
    """Has a browser open the URL, which the block serves. What is secret stands in a file of this
    account's own until the block ends, since all accounts see the arguments of a program. The file
    is in the home folder: browsers that are shut up, such as those of Snap, read no other."""
    with contextlib.ExitStack() as stack:
        place = url
        if is_secret and os.name == "posix":  # Windows shows them to nobody else
            try:
                file = stack.enter_context(
                    tempfile.NamedTemporaryFile(
                        "w", dir=Path.home(), prefix="vsv-pyramid-desk-", suffix=".html"
                    )
                )
                file.write(_PAGE.format(html.escape(url)))
                file.flush()
                place = Path(file.name).as_uri()
            except (OSError, RuntimeError):  # there is no home, or nothing can be written there
                place = ""
        # In a thread, since a browser in the terminal takes its time.
        threading.Thread(target=_open, args=(place, url), daemon=True).start()
        yield


def _open(place: str, url: str) -> None:
    if not place:
        echo(f"Warning: no file can be made in your home; open {url} yourself.", err=True)
    elif not webbrowser.open(place):
        echo(f"Warning: no browser is found; open {url} yourself.", err=True)
