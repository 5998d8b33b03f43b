"""Jobs of AWS Batch, on moto."""

from __future__ import annotations

import json
import shutil
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.support import aws_stand_ins
from tests.support.aws_stand_ins import StandIn
from vsv_pyramid.aws import batch, session
from vsv_pyramid.aws.batch import Queue
from vsv_pyramid.errors import QueueError, QueueUnavailable, StoreError

pytestmark = pytest.mark.aws


@pytest.fixture(scope="module")
def service() -> Iterator[StandIn]:
    """A server with a job queue and a job definition, whose jobs end by themselves."""
    with aws_stand_ins.moto() as started:
        settings = json.dumps({"batch": {"use_docker": False}}).encode()
        urllib.request.urlopen(f"{started.url}/moto-api/config", settings).close()
        role = started.client("iam").create_role(RoleName="batch", AssumeRolePolicyDocument="{}")
        client = started.client("batch")
        environment = client.create_compute_environment(
            computeEnvironmentName="environment",
            type="UNMANAGED",
            state="ENABLED",
            serviceRole=role["Role"]["Arn"],
        )["computeEnvironmentArn"]
        client.create_job_queue(
            jobQueueName="slides",
            state="ENABLED",
            priority=1,
            computeEnvironmentOrder=[{"order": 1, "computeEnvironment": environment}],
        )
        client.register_job_definition(
            jobDefinitionName="convert",
            type="container",
            containerProperties={
                "image": "none",
                "command": ["Ref::place"],
                "resourceRequirements": [
                    {"type": "VCPU", "value": "2"},
                    {"type": "MEMORY", "value": "4096"},
                ],
            },
        )
        yield started


@pytest.fixture
def queue(service: StandIn, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.setenv("AWS_ENDPOINT_URL", service.url)
    for name, value in (("ACCESS_KEY_ID", "testing"), ("SECRET_ACCESS_KEY", "testing")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", aws_stand_ins.REGION)
    return Queue("slides", "convert")


def ended(queue: Queue, job: str) -> str | None:
    """How the job ended, as soon as it has."""
    end = time.monotonic() + 60
    while job not in (found := queue.ended([job])):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found[job]


def test_a_job(service: StandIn, queue: Queue) -> None:
    job = queue.submit("s3://scans/a slide (1).svs")
    (made,) = service.client("batch").describe_jobs(jobs=[job])["jobs"]
    assert made["jobName"] == "slide-a_slide__1_"
    assert made["jobQueue"].endswith("/slides")
    assert made["parameters"] == {"place": "s3://scans/a slide (1).svs"}
    assert "arrayProperties" not in made
    assert ended(queue, job) is None


def test_an_array(service: StandIn, queue: Queue) -> None:
    job = queue.submit("s3://private/manifests/1.json", 3)
    (made,) = service.client("batch").describe_jobs(jobs=[job])["jobs"]
    assert made["arrayProperties"]["size"] == 3


def test_a_job_that_is_not_known(queue: Queue) -> None:
    known = queue.submit("a.svs")
    lost = "00000000-0000-0000-0000-000000000000"
    found = queue.ended([*[known] * 100, lost])
    assert "known no longer" in str(found[lost])


def test_why_a_job_failed(service: StandIn, queue: Queue) -> None:
    job = queue.submit("a.svs")
    service.client("batch").terminate_job(jobId=job, reason="taken away")
    # It may have ended by itself before.
    assert ended(queue, job) in (None, "its job failed: taken away")
    failed = {
        "status": "FAILED",
        "statusReason": "Essential container in task exited",
        "container": {"exitCode": 65, "reason": "none"},
    }
    said = "its job failed: Essential container in task exited, none, exit code 65"
    assert batch.reason(failed) == said
    assert batch.reason({"status": "SUCCEEDED"}) is None


def test_a_watched_folder(
    service: StandIn,
    queue: Queue,
    run: Run,
    small_slide: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Submitted once, however often it is looked at, by its path as the jobs see it."""
    deep = tmp_path / "in/deep"
    deep.mkdir(parents=True)
    shutil.copy(small_slide, deep / "a.svs")
    to = ("--to", "out", "--private-to", "kept")
    words = ("watch", tmp_path / "in", *to, "--once", "--interval", "0.2")
    submitting = ("--submit", "slides", "--job-definition", "convert", "--seen-as", "/mnt/slides/")
    with monkeypatch.context() as patch:  # the stand-in's jobs may have ended by the first question
        patch.setattr(Queue, "ended", lambda *_: {})
        outcome = run(*words, *submitting)
    assert (outcome.code, outcome.err) == (0, "")
    job = outcome.out.split()[-1]
    (made,) = service.client("batch").describe_jobs(jobs=[job])["jobs"]
    assert made["parameters"] == {"place": "/mnt/slides/deep/a.svs"}
    (note,) = Path("kept/watch").iterdir()
    assert json.loads(note.read_text())["job"] == job
    again = run(*words, *submitting)
    assert (again.code, again.out, again.err) == (0, "", "")


def test_a_queue_that_is_not_there(queue: Queue) -> None:
    with pytest.raises(QueueError, match="check the job queue") as caught:
        Queue("none", "convert").submit("a.svs")
    assert caught.value.exit_code == 1


def test_no_region(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(StoreError, match="slides: You must specify a region; check the AWS"):
        Queue("slides", "convert")


def test_a_service_that_does_not_answer(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    original = session.client
    monkeypatch.setattr(session, "client", lambda name, place, **_: original(name, place))
    with pytest.raises(QueueUnavailable, match="try again"):
        Queue("slides", "convert").submit("a.svs")
