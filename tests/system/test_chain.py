"""From the scanner to the screen, end to end: a slide is put into the bucket, or dropped into a
folder, and a browser shows it.

The stacks are main.yaml's, wired as there, on ministack and moto. What AWS runs by itself is played
here: Lambda's hold on its queue, and Batch's on its jobs. Each runs in a process of its own, with
the environment that the stacks state, and what finds the stand-ins.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
from playwright.sync_api import Browser, BrowserType

from tests.conftest import Run
from tests.support import aws_stand_ins, browser, lambda_runtime, s3_proxy, stacks
from tests.support.aws_stand_ins import REGION, StandIn
from tests.support.browser import window
from tests.support.clock import FakeClock, until
from tests.support.cloudformation import EVERYTHING
from tests.support.lambda_runtime import Function
from tests.support.s3_server import HOST
from tests.support.stacks import Distribution, Made, received, taken
from tests.support.viewed import differences, opened
from vsv_pyramid.pages import publish
from vsv_pyramid.store import lease, open_store
from vsv_pyramid.verification import verify

pytestmark = pytest.mark.aws

ROOT = Path(__file__).parents[2]
KEY = "2026/slide 1+2/170782.SVS"
# Small tiles: there is something to interrupt.
OPTIONS = "--tile-size 480 --workers 2 --upload-workers 2"
BUCKETS = ("SlidesBucket", "ImagesBucket", "PrivateBucket")
# What a file system takes, which nothing here has.
FILES = ("FileSystemArn", "AccessPointArn", "Subnets", "SecurityGroupId")


@dataclass(frozen=True)
class Cloud:
    """The stacks of one account."""

    ministack: StandIn
    moto: StandIn
    buckets: Mapping[str, str]
    site: Distribution
    compute: Made
    ingest: Made

    def environment(self) -> dict[str, str]:
        """With which boto3's chain finds the stand-ins."""
        return {
            "AWS_ENDPOINT_URL": self.ministack.url,
            "AWS_ENDPOINT_URL_BATCH": self.moto.url,
            "AWS_ENDPOINT_URL_SQS": self.ministack.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def scan(self, key: str, slide: bytes) -> None:
        """What the scanner does."""
        self.ministack.client("s3").put_object(
            Bucket=self.buckets["SlidesBucket"], Key=key, Body=slide
        )

    def versions(self, bucket: str) -> list[str]:
        """The keys of all versions that the bucket keeps, and of marks that something is gone."""
        pages = self.ministack.client("s3").get_paginator("list_object_versions")
        return [
            one["Key"]
            for page in pages.paginate(Bucket=self.buckets[bucket])
            for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
        ]

    def objects(self, bucket: str = "ImagesBucket") -> list[str]:
        """The keys in the bucket."""
        pages = self.ministack.client("s3").get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self.buckets[bucket])
        return [one["Key"] for page in found for one in page.get("Contents", ())]

    @contextlib.contextmanager
    def function(self, name: str = "Ingest", **changed: str) -> Iterator[Function]:
        """As the stack has made it, but for what is changed in its environment."""
        made = stacks.function(self.ministack, self.ingest, name)
        (handler,) = made["ImageConfigResponse"]["ImageConfig"]["Command"]
        environment = {
            **made["Environment"]["Variables"],
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(made["MemorySize"]),
            **self.environment(),
            **changed,
        }
        with lambda_runtime.running(handler, environment) as function:
            yield function

    def deliver(
        self, call: Callable[[dict[str, Any]], Any], count: int = 1, queue: str = "Slides"
    ) -> None:
        """Hands messages of the queue to the function, one by one as BatchSize is, as its event
        source does: those that it does not say failed are gone then."""
        sqs, queue = self.ministack.client("sqs"), self.ingest[queue]
        for _ in range(count):
            message = taken(self.ministack, queue)
            record = {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": {},
                "messageAttributes": {},
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "awsRegion": REGION,
            }
            handle = {"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]}
            if call({"Records": [record]}) == {"batchItemFailures": []}:
                sqs.delete_message(**handle)
            else:
                sqs.change_message_visibility(VisibilityTimeout=0, **handle)  # time goes by

    def waiting(self) -> int:
        """Messages in the queue of slides, also those that somebody holds."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.ministack.client("sqs").get_queue_attributes(
            QueueUrl=self.ingest["Slides"], AttributeNames=names
        )
        return sum(map(int, found["Attributes"].values()))

    def mails(self) -> str:
        """The URL of a queue that gets what the topic of the alarms is told from now on."""
        sqs = self.ministack.client("sqs")
        url = sqs.create_queue(QueueName="mails")["QueueUrl"]
        told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
        self.ministack.client("sns").subscribe(
            TopicArn=self.ingest["Topic"], Protocol="sqs", Endpoint=told["QueueArn"]
        )
        return str(url)

    def failures(self, count: int) -> list[Any]:
        return received(self.ministack, self.ingest["Failures"], count)

    def jobs(self, slide: str) -> list[Any]:
        """Those that are about a slide of this id."""
        batch = self.moto.client("batch")
        ids = {
            summary["jobId"]
            for status in ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED")
            for summary in batch.list_jobs(jobQueue=self.compute["Queue"], jobStatus=status)[
                "jobSummaryList"
            ]
        }
        found = batch.describe_jobs(jobs=sorted(ids))["jobs"] if ids else []
        return [job for job in found if job["parameters"]["place"].endswith(f"/{slide}.svs")]

    def attempt(self, job: Any, **changed: str) -> subprocess.Popen[str]:
        """The job's process."""
        container = job["container"]
        words = [
            job["parameters"][word.removeprefix("Ref::")] if word.startswith("Ref::") else word
            for word in container["command"]
        ]
        environment = {
            "PATH": os.defpath,
            "PYTHONPATH": str(ROOT),
            # Moto takes an empty parameter for a list.
            **{one["name"]: one["value"] or "" for one in container["environment"]},
            **self.environment(),
            **changed,
        }
        return subprocess.Popen(
            [sys.executable, str(lambda_runtime.FOLDER / "worker.py"), *words],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )

    def is_over(self, code: int) -> bool:
        """Whether Batch leaves it at this exit code."""
        strategy = stacks.job_definition(self.moto, self.compute)["retryStrategy"]
        ends = [one["onExitCode"] for one in strategy["evaluateOnExit"] if one["action"] == "exit"]
        return code == 0 or str(code) in ends


@pytest.fixture(scope="module")
def account() -> Iterator[Cloud]:
    with aws_stand_ins.ministack() as ministack, aws_stand_ins.moto() as moto:
        # Its jobs end by themselves: what they would have run is run here.
        settings = json.dumps({"batch": {"use_docker": False}}).encode()
        urllib.request.urlopen(f"{moto.url}/moto-api/config", settings).close()
        buckets = stacks.stored(ministack, "storage")
        places = {name: buckets[name] for name in BUCKETS}
        common = places | {"ConvertOptions": OPTIONS}
        site = stacks.distributed(ministack, buckets, "cdn")
        compute = stacks.computing(moto, "compute", common | {"ImageTag": "1.0"})
        outputs = moto.outputs("compute")
        names = ("QueueArn", "JobDefinitionArn", "ConvertPolicyArn", "JobLogGroup")
        ingest = stacks.ingesting(
            ministack,
            "ingest",
            common
            | {name: outputs[name] for name in names}
            | {name: EVERYTHING["ingest"][name] for name in FILES}
            | {"ImageUri": f"{outputs['RepositoryUri']}:1.0"},
        )
        yield Cloud(ministack, moto, buckets, site, compute, ingest)


@pytest.fixture
def cloud(account: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """The account, also for what the test itself does in S3."""
    for name, value in account.environment().items():
        monkeypatch.setenv(name, value)
    assert account.waiting() == 0
    return account


@pytest.fixture(scope="module")
def screen(browsers: BrowserType, account: Cloud) -> Iterator[Browser]:
    """A browser for which the distribution's name leads to the stand-in."""
    rule = f"MAP *.cloudfront.net {HOST}:{account.site.port}"
    with browser.running(browsers, *browser.WEBGL, f"--host-resolver-rules={rule}") as running:
        yield running


def assert_seen(screen: Browser, viewer: str, slide: Path, **options: Any) -> None:
    """The pixels on the screen are those that the scanner has written into the slide."""
    with openslide.OpenSlide(slide) as source:
        pixels = np.asarray(source.read_region((0, 0), 0, source.dimensions).convert("RGB"))
    with window(screen, f"{viewer}#1000,1500,1,0", **options) as seen:
        opened(seen)
        found = differences(seen, pixels, 1, 1)
    assert found.max() <= 3  # two decoders
    assert found.mean() < 1


def line(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What the worker, when it has ended, has said last."""
    said = process.communicate(timeout=300)[1]
    document: dict[str, Any] = json.loads(said.splitlines()[-1])
    return document


def test_a_slide_that_is_put_into_the_bucket_is_on_the_screen(
    cloud: Cloud, screen: Browser, real_slide: Path
) -> None:
    cloud.scan(KEY, real_slide.read_bytes())
    images = f"s3://{cloud.buckets['ImagesBucket']}"
    publish(open_store(images))
    with cloud.function() as ingest:
        cloud.deliver(ingest)
    assert cloud.waiting() == 0
    assert verify(f"{images}/images/170782", deep=True, against=real_slide).errors == []
    assert {key.partition("/")[0] for key in cloud.objects()} == {"images", "viewer"}
    kept = cloud.objects("PrivateBucket")
    assert {"root.json", "private/images/170782/slide.private.json"} <= set(kept)

    host = f"http://{cloud.site.host}"
    told = {"X-Forwarded-Proto": "https"}  # as what ends TLS does
    assert_seen(screen, f"{host}/viewer/?id=170782", real_slide, extra_http_headers=told)
    with window(screen, f"{host}/", extra_http_headers=told) as seen:
        seen.page.get_by_role("link", name="170782").click()
        opened(seen)
    descriptor = cloud.site.get("/images/170782/DeepZoom.dzi")
    assert descriptor.body.startswith(b"<?xml")
    assert cloud.site.get("/images/170782.dzi").body == descriptor.body


def test_events_come_twice_late_and_of_any_kind(
    cloud: Cloud, small_slide: Path, real_slide: Path
) -> None:
    small = small_slide.read_bytes()
    for slide in (small, real_slide.read_bytes(), real_slide.read_bytes()):
        cloud.scan("twice.svs", slide)  # the first event comes when it is another slide already
    cloud.scan("notes.txt", b"no slide")
    sqs, queue = cloud.ministack.client("sqs"), cloud.ingest["Slides"]
    for body in (
        {"Service": "Amazon S3", "Event": "s3:TestEvent"},
        {"source": "aws.s3", "detail-type": "Object Deleted", "detail": {}},
        {"source": "someone", "detail-type": "Object Created", "detail": {"bucket": 1}},
    ):
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(body))
    cloud.ministack.client("s3").delete_object(
        Bucket=cloud.buckets["SlidesBucket"], Key="notes.txt"
    )
    cloud.scan("gone.svs", small)
    cloud.ministack.client("s3").delete_object(Bucket=cloud.buckets["SlidesBucket"], Key="gone.svs")
    with (
        s3_proxy.before(cloud.ministack.url) as proxy,
        cloud.function(AWS_ENDPOINT_URL=proxy.url) as ingest,
    ):
        cloud.deliver(ingest, 7)
    assert cloud.waiting() == 0
    target = f"s3://{cloud.buckets['ImagesBucket']}/images/twice"
    assert verify(target, against=real_slide).errors == []
    tiles = [key for key in cloud.objects() if key.startswith("images/twice/DeepZoom_files/")]
    assert proxy.count("PUT", "/images/twice/DeepZoom_files/") == len(tiles)
    assert not [key for key in cloud.objects() if "/gone/" in key]


def test_what_nobody_can_read_ends_among_the_failures(cloud: Cloud) -> None:
    sqs, queue = cloud.ministack.client("sqs"), cloud.ingest["Slides"]
    sqs.send_message(QueueUrl=queue, MessageBody='"no event"')
    with cloud.function() as ingest:
        cloud.deliver(ingest, 5)
    assert "Messages" not in sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1)
    assert cloud.failures(1) == ["no event"]


def test_a_bad_slide_goes_to_the_failures_at_once(cloud: Cloud, real_slide: Path) -> None:
    cloud.scan("bad.svs", real_slide.read_bytes()[:100_000])
    with cloud.function() as ingest:
        cloud.deliver(ingest)
    assert cloud.waiting() == 0
    (failure,) = cloud.failures(1)
    assert failure["slide"].endswith("/bad.svs")
    assert failure["exit_code"] == 65
    assert "bad.svs" in failure["reason"]
    assert not [key for key in cloud.objects() if "bad" in key]


def test_somebody_is_told_and_has_it_tried_again(cloud: Cloud, real_slide: Path) -> None:
    """What the mail says is done as it says it."""
    mails = cloud.mails()
    cloud.scan("told.svs", real_slide.read_bytes()[:100_000])
    with cloud.function() as ingest, cloud.function("Reporter") as report:
        cloud.deliver(ingest)
        cloud.deliver(report, queue="Failures")
        (mail,) = received(cloud.ministack, mails, 1)
        assert mail["Subject"] == "vsv-pyramid: told could not be converted"
        assert "private/failed/told.json" in cloud.objects("PrivateBucket")
        (command,) = (line for line in mail["Message"].splitlines() if " slides retry " in line)
        program, *words = shlex.split(command)
        assert program == "vsv-pyramid"
        tried = subprocess.run(
            [sys.executable, "-m", "vsv_pyramid", *words],
            env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), **cloud.environment()},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (tried.returncode, tried.stdout) == (0, "told: will be tried again\n"), tried.stderr
        ingest({"audit": True})
        (job,) = cloud.jobs("told")
        cloud.scan("told.svs", real_slide.read_bytes())  # somebody has copied it again
        assert line(cloud.attempt(job))["status"] == "converted"
        assert "private/failed/told.json" not in cloud.objects("PrivateBucket")
        cloud.deliver(ingest)  # of the copy: there is nothing to do
    assert cloud.waiting() == 0
    assert verify(f"s3://{cloud.buckets['ImagesBucket']}/images/told", deep=True).errors == []


def test_a_patient_asks_that_nothing_be_left(cloud: Cloud, real_slide: Path, run: Run) -> None:
    """Of a slide that was scanned twice, and looked at: in no version of the stacks' buckets."""
    slides, images, kept = (f"s3://{cloud.buckets[name]}" for name in BUCKETS)
    others = {name: set(cloud.versions(name)) for name in BUCKETS}
    with cloud.function() as ingest:
        for end in (b"", b"scanned anew"):
            cloud.scan("asked.svs", real_slide.read_bytes() + end)
            cloud.deliver(ingest)
    assert cloud.versions("SlidesBucket").count("asked.svs") == 2
    private = ("--private-to", kept)
    assert run("slides", "set", "asked", "--status", "GOOD", "--in", images, *private).code == 0
    assert run("verify", images, "--purged", "asked", *private).code == 1
    asked = ("delete", "asked", "--in", images, *private, "--purge", "--source", "--yes")
    assert run(*asked).code == 0
    assert run("verify", images, "--purged", "asked", *private).code == 0
    for name in BUCKETS:
        left = set(cloud.versions(name)) - others[name]
        assert not [key for key in left if "asked" in key], name
    assert open_store(slides).head("asked.svs") is None


def test_a_crash_half_way(cloud: Cloud, real_slide: Path) -> None:
    """The message comes back, and the next attempt goes on where the first one ended."""
    cloud.scan("crash.svs", real_slide.read_bytes())

    def has_begun() -> None:
        until(lambda: any("/crash/DeepZoom_files/" in key for key in cloud.objects()))

    with s3_proxy.before(cloud.ministack.url) as proxy:
        proxy.fault = s3_proxy.slow(0.2)
        with cloud.function(AWS_ENDPOINT_URL=proxy.url) as ingest:
            cloud.deliver(lambda event: ingest.crash(event, has_begun))
    begun = {key for key in cloud.objects() if "/crash/DeepZoom_files/" in key}
    assert "images/crash/DeepZoom.dzi" not in cloud.objects()
    assert cloud.waiting() == 1
    later = FakeClock()
    later.advance(lease.SECONDS + 1)
    with (
        s3_proxy.before(cloud.ministack.url) as proxy,
        cloud.function(AWS_ENDPOINT_URL=proxy.url) as ingest,
    ):
        proxy.fault = s3_proxy.by(later)  # when the dead one's lease has expired
        cloud.deliver(ingest)
    again = {path.partition("/images/")[2] for method, path in proxy.requests if method == "PUT"}
    assert "crash/DeepZoom.dzi" in again
    assert len({key for key in begun if key.removeprefix("images/") not in again}) > 0
    assert verify(f"s3://{cloud.buckets['ImagesBucket']}/images/crash", deep=True).errors == []
    assert cloud.waiting() == 0


class TestBatch:
    def submitted(self, cloud: Cloud, slide: str, body: bytes) -> Any:
        """The job of a slide that is too large for the function."""
        cloud.scan(f"{slide}.svs", body)
        with cloud.function(AWS_LAMBDA_FUNCTION_MEMORY_SIZE="0") as ingest:
            cloud.deliver(ingest)
        assert cloud.waiting() == 0
        assert not [key for key in cloud.objects() if f"/{slide}/" in key]
        (job,) = cloud.jobs(slide)
        return job

    def test_a_large_slide(self, cloud: Cloud, real_slide: Path) -> None:
        job = self.submitted(cloud, "large", real_slide.read_bytes())
        process = cloud.attempt(job)
        assert line(process)["status"] == "converted"
        assert process.returncode == 0
        target = f"s3://{cloud.buckets['ImagesBucket']}/images/large"
        assert verify(target, deep=True, against=real_slide).errors == []

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no SIGTERM")
    def test_spot_takes_the_machine_away(self, cloud: Cloud, real_slide: Path) -> None:
        job = self.submitted(cloud, "spot", real_slide.read_bytes())
        with s3_proxy.before(cloud.ministack.url) as proxy:
            proxy.fault = s3_proxy.slow(0.2)
            process = cloud.attempt(job, AWS_ENDPOINT_URL=proxy.url)
            until(lambda: any("/spot/DeepZoom_files/" in key for key in cloud.objects()))
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=20)
        assert not cloud.is_over(process.returncode)
        assert "images/spot/DeepZoom.dzi" not in cloud.objects()
        process = cloud.attempt(job)
        assert line(process)["kept"] > 0
        assert (process.returncode, cloud.is_over(0)) == (0, True)
        target = f"s3://{cloud.buckets['ImagesBucket']}/images/spot"
        assert verify(target, deep=True, against=real_slide).errors == []

    def test_a_backlog(self, cloud: Cloud, real_slide: Path) -> None:
        """While more than one waits, slides are for jobs; the last two are the function's own."""
        names = ("backlog-1", "backlog-2", "backlog-3")
        for name in names:
            cloud.scan(f"{name}.svs", real_slide.read_bytes())
        with cloud.function(VSV_PYRAMID_MOST_WAITING="1") as ingest:
            cloud.deliver(ingest, 3)
        assert cloud.waiting() == 0
        handed_on = [name for name in names if cloud.jobs(name)]
        assert len(handed_on) == 1
        (job,) = cloud.jobs(handed_on[0])
        assert line(cloud.attempt(job))["status"] == "converted"
        assert {f"images/{name}/DeepZoom.dzi" for name in names} <= set(cloud.objects())
        assert line(cloud.attempt(job))["status"] == "skipped"  # as of an event that came twice

    def test_one_over_the_parameter(self, cloud: Cloud, real_slide: Path) -> None:
        cloud.scan("over.svs", real_slide.read_bytes())
        with cloud.function(VSV_PYRAMID_MOST_MEGABYTES="1") as ingest:
            cloud.deliver(ingest)
        assert [job["parameters"]["place"].rpartition("/")[2] for job in cloud.jobs("over")] == [
            "over.svs"
        ]

    def test_a_bad_slide_is_not_tried_again(self, cloud: Cloud) -> None:
        job = self.submitted(cloud, "rotten", b"hello")
        process = cloud.attempt(job)
        assert line(process)["error"].startswith("rotten: neither a slide")
        assert cloud.is_over(process.returncode)


def test_a_slide_on_a_share(cloud: Cloud, real_slide: Path, tmp_path: Path) -> None:
    share = tmp_path / "slides"
    share.mkdir()
    shutil.copy(real_slide, share / "share.svs")
    told = {
        "source": "aws.datasync",
        "detail-type": "DataSync Task Execution State Change",
        "detail": {"State": "SUCCESS"},
    }
    with cloud.function("Scanner", VSV_PYRAMID_SLIDES=str(share)) as scan:
        scan(told)
    target = f"s3://{cloud.buckets['ImagesBucket']}/images/share"
    assert verify(target, deep=True, against=real_slide).errors == []
    assert "private/images/share/slide.private.json" in cloud.objects("PrivateBucket")
    (share / "bad.svs").write_bytes(b"hello")
    with cloud.function("Scanner", VSV_PYRAMID_SLIDES=str(share)) as scan:
        scan(told)
    assert cloud.failures(1)[0]["slide"] == str(share / "bad.svs")
    assert [key for key in cloud.objects("PrivateBucket") if key.startswith("watch/")]
    assert not [key for key in cloud.objects() if "watch" in key]


def test_a_slide_that_is_dropped_into_a_folder_is_on_the_screen(
    chromium: Browser, real_slide: Path, tmp_path: Path
) -> None:
    """On one machine: a watch, and a server, each as somebody starts it."""
    scans, published = tmp_path / "scans", tmp_path / "published"
    scans.mkdir()
    command = [sys.executable, "-m", "vsv_pyramid"]
    with contextlib.ExitStack() as stack:

        def started(*words: object) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [*command, *map(str, words)], cwd=tmp_path, stdout=subprocess.PIPE, text=True
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        watch = started("watch", scans, "--to", published, "--interval", "0.5")
        assert watch.stdout
        shutil.copy(real_slide, scans / "170782.svs")
        assert watch.stdout.readline().startswith("170782: ")
        serve = started("serve", published, "--port", "0")
        assert serve.stdout
        url = serve.stdout.readline().split()[3]
        assert_seen(chromium, f"{url}viewer/?id=170782", real_slide)
