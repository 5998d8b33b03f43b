"""nginx for the tests, on this machine only, ended by who started it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.clock import until
from tests.support.memory import memory
from tests.support.site import Site

_CONFIG = """
pid {folder}/pid; error_log {folder}/errors; daemon off; events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  {server}
}}
"""


@contextlib.contextmanager
def nginx(server: str, port: int) -> Iterator[Site]:
    """With that server, a block of its configuration that listens on the port."""
    program = shutil.which("nginx", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
    assert program, "nginx is missing: make set-up"
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "nginx.conf")
        config.write_text(_CONFIG.format(folder=folder, server=server))
        command = [program, "-c", str(config), "-p", folder, "-e", f"{folder}/errors"]
        with process(command, port) as site:
            yield site


@contextlib.contextmanager
def process(command: Sequence[str], port: int) -> Iterator[Site]:
    """A server that is a process, from when it answers until the block ends."""
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    site = Site(port)

    def answers() -> bool:
        assert started.poll() is None, command
        try:
            return site.ask("/").status > 0
        except OSError:
            return False

    try:
        until(answers)
        yield site
    finally:
        started.terminate()
        started.wait()


def readable(folder: Path) -> None:
    """Lets nginx's workers, who may be somebody else, get at what is in a folder of the tests."""
    tops = {Path(tempfile.gettempdir()), memory()}
    for path in (folder, *folder.parents):
        if not tops.isdisjoint(path.parents):
            path.chmod(0o755)
