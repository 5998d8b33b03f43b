"""A Lambda function as AWS runs it: a process of awslambdaric, which asks this server for events.

The protocol: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support import http_server
from tests.support.http_server import HOST

FOLDER = Path(__file__).parents[2] / "batch"
_VERSION = "/2018-06-01/runtime"
_SECONDS = 120.0
_SANITIZERS = ("LD_PRELOAD", "ASAN_OPTIONS", "UBSAN_OPTIONS", "PYTHONMALLOC")


class FunctionError(Exception):
    """What the function has raised."""


class Function:
    """Hands events to the process, and back what it answers."""

    process: subprocess.Popen[bytes]

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
        outer = self

        class Handler(http_server.Handler):
            def do_GET(self) -> None:
                event = outer._events.get()
                if event is None:
                    self.close_connection = True
                    return
                body = json.dumps(event).encode()
                self.send_response(200)
                # Without this one and the trace its client crashes.
                self.send_header("Content-Type", "application/json")
                self.send_header("Lambda-Runtime-Aws-Request-Id", "one")
                self.send_header("Lambda-Runtime-Trace-Id", "Root=1-0-0")
                deadline = round((time.time() + 900) * 1000)
                self.send_header("Lambda-Runtime-Deadline-Ms", str(deadline))
                self.send_header(
                    "Lambda-Runtime-Invoked-Function-Arn",
                    "arn:aws:lambda:us-east-1:123456789012:function:tried",
                )
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                answer = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"null")
                outer._answers.put((self.path.endswith("/response"), answer))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

        self.server = ThreadingHTTPServer((HOST, 0), Handler)

    def __call__(self, event: object) -> Any:
        """What the function returns. Raises FunctionError."""
        self._events.put(event)
        well, answer = self._answers.get(timeout=_SECONDS)
        if not well:
            raise FunctionError(f"{answer['errorType']}: {answer['errorMessage']}")
        return answer

    def crash(self, event: object, moment: Callable[[], object]) -> None:
        """Kills the process, which is at the event, when `moment` returns."""
        self._events.put(event)
        moment()
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._events.put(None)


@contextlib.contextmanager
def running(handler: str, environment: Mapping[str, str]) -> Iterator[Function]:
    """The function "module.name" of batch/, with nothing in its environment but this, and what
    finds Python's modules."""
    function = Function()
    with http_server.running(function.server):
        function.process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", handler],
            cwd=FOLDER,
            env={
                **{name: os.environ[name] for name in _SANITIZERS if name in os.environ},
                "PATH": os.defpath,
                "PYTHONPATH": str(FOLDER.parent),
                "AWS_LAMBDA_RUNTIME_API": f"{HOST}:{function.server.server_port}",
                "AWS_LAMBDA_FUNCTION_NAME": "tried",
                "AWS_LAMBDA_FUNCTION_VERSION": "1",
                **environment,
            },
        )
        try:
            yield function
        finally:
            function.end()
