"""Stand-ins for AWS, on this machine only, ended by who started them: moto knows Batch and EFS,
ministack CloudFront and the way from S3 by EventBridge to SQS.

They live in a venv of their own (see the Makefile): they pin an older boto3 than the project's.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.support.s3_server import HOST, free_ports

BIN = Path(__file__).parents[2] / ".cache/aws/bin"
REGION = "us-east-1"
ACCOUNTS = {"moto": "123456789012", "ministack": "000000000000"}
_START_SECONDS = 60
_STACK_SECONDS = 60


@dataclass(frozen=True)
class StandIn:
    """Where it listens."""

    url: str

    @functools.cache  # noqa: B019  # few, and what makes a client takes its time
    def client(self, service: str) -> Any:
        connect: Callable[..., Any] = boto3.client
        return connect(
            service,
            endpoint_url=self.url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            region_name=REGION,
            config=Config(retries={"max_attempts": 0}),
        )

    def create(
        self, name: str, body: Mapping[str, Any], parameters: Mapping[str, str]
    ) -> dict[str, str]:
        """Makes a stack. Physical ids by logical ones."""
        client = self.client("cloudformation")
        client.create_stack(
            StackName=name,
            TemplateBody=json.dumps(body),
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
            Capabilities=["CAPABILITY_IAM"],
        )
        end = time.monotonic() + _STACK_SECONDS
        while self._status(name) == "CREATE_IN_PROGRESS" and time.monotonic() < end:
            time.sleep(0.1)
        assert self._status(name) == "CREATE_COMPLETE", client.describe_stack_events(StackName=name)
        found = client.describe_stack_resources(StackName=name)["StackResources"]
        return {
            one["LogicalResourceId"]: one.get("PhysicalResourceId", "")
            for one in found
            if "LogicalResourceId" in one
        }

    def outputs(self, name: str) -> dict[str, str]:
        (stack,) = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        return {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", ())}

    def _status(self, name: str) -> str:
        (stack,) = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        status: str = stack["StackStatus"]
        return status


@contextlib.contextmanager
def moto() -> Iterator[StandIn]:
    (port,) = free_ports(1)
    with _running([str(BIN / "moto_server"), "-H", HOST, "-p", str(port)], {}, port) as started:
        yield started


@contextlib.contextmanager
def ministack() -> Iterator[StandIn]:
    (port,) = free_ports(1)
    environment = {
        # Node.js, which the function of CloudFront runs in, may be only that of the tests' venv.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "BIND_HOST": HOST,
        "MINISTACK_HOST": HOST,
        "GATEWAY_PORT": str(port),
        # These would listen at fixed ports.
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
    }
    with _running([str(BIN / "ministack")], environment, port) as started:
        yield started


@contextlib.contextmanager
def _running(command: list[str], environment: dict[str, str], port: int) -> Iterator[StandIn]:
    assert Path(command[0]).exists(), f"{command[0]} is missing: make .cache/aws/.installed"
    with tempfile.TemporaryDirectory(prefix="aws-") as folder:
        kept = {
            key: os.environ[key] for key in os.environ if not key.startswith(("AWS_", "PYTHON"))
        }
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen(
                command,
                env=kept | environment | {"TMPDIR": folder},
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            started = StandIn(f"http://{HOST}:{port}")
            try:
                _wait_for(started, process, Path(folder, "log"))
                yield started
            finally:
                process.kill()  # it has nothing to save
                process.wait()


def _wait_for(started: StandIn, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while True:
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        try:
            started.client("sts").get_caller_identity()
            return
        except (BotoCoreError, ClientError):
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
