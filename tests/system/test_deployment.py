"""cloudformation/README.md, every command of it in the order of the page, with Amazon's command
line, on the stand-ins.

Docker is not there: its commands are written down. Of the templates that `package` has uploaded,
ministack gets another compute.yaml, whose outputs are those of the real one on moto, and a cdn.yaml
without the types that it refuses.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import aws_stand_ins, cloudformation, stacks
from tests.support.aws_stand_ins import BIN, REGION, StandIn
from tests.support.clock import until
from tests.support.cloudformation import REQUIRED

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "cloudformation/README.md"
KEY_ID = "K2JCJMDEHXQW5F"
SECOND_KEY_ID = "K3SECONDKEY00"
# When it updates a nested stack, ministack does not know attributes any more, but what Ref gives:
# the page's links can be tried, a new image or another environment for the functions cannot.
FORGOTTEN = (
    ("AccessControl", "Id"),
    ("Distribution", "DomainName"),
    ("Paths", "FunctionARN"),
)
# Amazon's command line, which asks each half minute whether a stack is there.
AT_ONCE = """
import types, time, botocore.waiter
botocore.waiter.time = types.SimpleNamespace(sleep=lambda _: time.sleep(0.2))
"""
_SECONDS = 300

pytestmark = [
    pytest.mark.aws,
    pytest.mark.skipif(sys.platform == "win32", reason="The page is for sh"),
]


class Page:
    """The commands by section, each block to be taken once."""

    def __init__(self, text: str) -> None:
        self.left = [
            (section.partition("\n")[0].strip("# "), re.sub(f"^{indent}", "", block, flags=re.M))
            for section in re.split("^#", text, flags=re.M)
            for indent, block in re.findall(r"^( *)```sh\n(.*?)^\1```$", section, re.M | re.S)
        ]

    def next(self, section: str) -> str:
        (title, block), *self.left = self.left
        assert title == section
        return block


class Shell:
    """One sh, as somebody types into it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["sh"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, commands: str) -> str:
        """What they say. Each has to go well."""
        assert self._process.stdin
        assert self._process.stdout
        said = ""
        for command in commands.splitlines():
            self._process.stdin.write(f"{command}\ncode=$?; echo; echo ended $code\n")
            self._process.stdin.flush()
            watchdog = threading.Timer(_SECONDS, self._process.kill)
            watchdog.start()
            for line in self._process.stdout:
                if line.startswith("ended "):
                    break
                said += line
            watchdog.cancel()
            assert line == "ended 0\n", f"{command}\n{said}"
        return said

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


def parameters(ministack: StandIn) -> dict[str, str]:
    """Those of the stack, which has come to a good end."""
    client = ministack.client("cloudformation")
    (stack,) = client.describe_stacks(StackName="vsv-pyramid")["Stacks"]
    events = client.describe_stack_events(StackName="vsv-pyramid")["StackEvents"]
    assert stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), events
    return {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}


def uploaded(ministack: StandIn, packaged: Path, computed: dict[str, str]) -> None:
    """Puts what the stand-in can make in the place of what `package` has uploaded."""
    body = cloudformation.parsed(packaged.read_text())
    body["Resources"]["Ingest"]["Properties"]["Parameters"]["Details"] = "none"  # see FORGOTTEN
    s3 = ministack.client("s3")
    nested = {
        "Storage": cloudformation.load("storage"),
        "Cdn": stacks.without_public_key(),
        "Compute": {
            "Parameters": cloudformation.load("compute")["Parameters"],
            "Resources": {"Instead": {"Type": "AWS::SNS::Topic"}},
            "Outputs": {name: {"Value": value} for name, value in computed.items()},
        },
        "Ingest": cloudformation.load("ingest"),
        "Monitor": stacks.monitoring(),
    }
    nested["Cdn"]["Outputs"] |= {
        "KeyId": {"Condition": "MakeKey", "Value": KEY_ID},
        "SecondKeyId": {"Condition": "MakeSecondKey", "Value": SECOND_KEY_ID},
    }
    for name, template in nested.items():
        text = json.dumps(template)
        for resource, attribute in FORGOTTEN:
            text = text.replace(
                json.dumps({"Fn::GetAtt": [resource, attribute]}), json.dumps({"Ref": resource})
            ).replace(f"${{{resource}.{attribute}}}", f"${{{resource}}}.cloudfront.net")
        stack = body["Resources"][name]["Properties"]
        *_, bucket, key = stack["TemplateURL"].split("/")
        there = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        assert cloudformation.parsed(there) == cloudformation.load(name.lower())
        s3.put_object(Bucket=bucket, Key=f"instead/{key}", Body=text)
        stack["TemplateURL"] = f"{ministack.url}/{bucket}/instead/{key}"
    packaged.write_text(json.dumps(body))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files of this project, as in a fresh checkout, and Docker, which only takes notes."""
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    folder = tmp_path / "checkout"
    for name in filter(None, names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "aws").write_text(AT_ONCE + (BIN / "aws").read_text())
    (folder / "bin").mkdir()
    for name, script in {
        "docker": 'echo "$*" >>docker.log\n[ "$1" = push ] || cat >"docker.$1"\n',
        # For SQS its first version, the one on PyPI, takes no notice of the variable.
        "aws": '[ "$1" = sqs ] && set -- "$@" --endpoint-url "$AWS_ENDPOINT_URL"\n'
        f'exec {BIN / "python"} {tools / "aws"} "$@"\n',
    }.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}")
        (folder / "bin" / name).chmod(0o755)
    return folder


@pytest.fixture
def stand_ins() -> Iterator[tuple[StandIn, StandIn]]:
    with aws_stand_ins.ministack() as ministack, aws_stand_ins.moto() as moto:
        yield ministack, moto


@pytest.mark.long
def test_the_page_is_walked(
    checkout: Path,
    stand_ins: tuple[StandIn, StandIn],
    real_slide: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ministack, moto = stand_ins
    s3 = ministack.client("s3")
    stacks.computing(moto, "compute", REQUIRED["compute"])
    computed = moto.outputs("compute")
    environment = {
        "AWS_ENDPOINT_URL": ministack.url,
        "AWS_ENDPOINT_URL_BATCH": moto.url,
        "AWS_ENDPOINT_URL_ECR": moto.url,
        "AWS_ENDPOINT_URL_IAM": moto.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,  # the first version of Amazon's command line knows no other
        "AWS_EC2_METADATA_DISABLED": "true",
        "GIT_DIR": str(ROOT / ".git"),
        "HOME": str(checkout),
        "PATH": os.pathsep.join(
            [str(checkout / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
        ),
    }
    for name, value in environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    text = PAGE.read_text(encoding="utf-8")
    assert "export AWS_REGION=eu-central-1" in text
    page = Page(text.replace("eu-central-1", REGION))
    shell = Shell(checkout, environment)
    packaged = checkout / "packaged.yaml"
    try:
        shell.run(page.next("Deploy"))
        shell.run(page.next("Deploy"))
        make, package, deploy = page.next("Deploy").splitlines()
        shell.run(f"{make}\n{package}")
        uploaded(ministack, packaged, computed)
        shell.run(deploy)
        shell.run(page.next("Deploy"))
        assert shell.run("output FailuresQueueUrl").strip() in ("", "None")  # no image, no ingest

        shell.run(page.next("Deploy"))
        tag = shell.run("echo $TAG").strip()
        image = f"{computed['RepositoryUri']}:{tag}"
        login, build, push = (checkout / "docker.log").read_text().splitlines()
        assert login.split()[-1] == computed["RepositoryUri"].partition("/")[0]
        assert (checkout / "docker.login").read_text().strip()
        assert f"--tag {image} " in build
        assert push == f"push {image}"
        with tarfile.open(checkout / "docker.build") as context:
            assert "batch/Dockerfile" in context.getnames()
        given = parameters(ministack)
        assert (given["ImageTag"], given["AlarmEmail"]) == (tag, "you@example.org")

        assert given["PublicKey"].startswith("-----BEGIN PUBLIC KEY-----\n")
        viewer, copy, listing, share = page.next("The viewer, and the first slide").splitlines()
        shutil.copy(real_slide, checkout / "170782.svs")
        shell.run(f"{viewer}\n{copy}")
        # What the function does by itself (test_chain.py).
        slides, images, private = (
            shell.run(f"output {name}Bucket").strip() for name in ("Slides", "Images", "Private")
        )
        convert = f"vsv-pyramid convert s3://{slides}/170782.svs --to s3://{images}"
        shell.run(f"{convert} --private-to s3://{private}")
        assert "DeepZoom.dzi" in shell.run(listing)
        link = r"https://\w+\.cloudfront\.net/viewer/index\.html\?id=170782&Policy=\S+"
        assert re.fullmatch(rf"{link}&Key-Pair-Id={KEY_ID}\S*", shell.run(share).strip())
        estimate, submit = page.next("The viewer, and the first slide").splitlines()
        assert "0 waiting, 1 published" in shell.run(estimate)
        shutil.copy(real_slide, checkout / "170783.svs")
        shell.run(copy.replace("170782", "170783"))
        assert "1 waiting, 1 published" in shell.run(estimate)
        assert "submitted: " in shell.run(submit)

        assert "170782" in shell.run(page.next("What is private"))

        assert shell.run("output Details").strip() == "lab"
        refresh = page.next("What is published of a slide")
        assert "1 slide, 1 written anew" in shell.run(refresh)

        generate, public, deploy, share = page.next("Who sees the slides").splitlines()
        shell.run(f"{generate}\n{public}\n{deploy}")
        until(lambda: parameters(ministack)["SecondPublicKey"].startswith("-----BEGIN"))
        assert re.fullmatch(rf"{link}&Key-Pair-Id={SECOND_KEY_ID}\S*", shell.run(share).strip())
        shell.run(page.next("Who sees the slides"))
        until(lambda: parameters(ministack)["PublicKey"] == "")
        shell.run(page.next("Who sees the slides"))
        until(lambda: parameters(ministack)["Public"] == "yes")
        until(lambda: shell.run("output Details").strip() == "none")
        assert "1 slide, 1 written anew" in shell.run(refresh)

        iam = moto.client("iam")
        iam.create_role(RoleName="technicians", AssumeRolePolicyDocument="{}")
        serve = shell.run(page.next("The technician's desk")).strip()
        assert serve == f"vsv-pyramid serve s3://{images} --edit --private-to s3://{private}"
        attached = iam.list_attached_role_policies(RoleName="technicians")["AttachedPolicies"]
        assert [one["PolicyArn"] for one in attached] == [computed["DeskPolicyArn"]]

        s3.create_bucket(Bucket="my-scans")
        shell.run(page.next("What is there already"))
        told = s3.get_bucket_notification_configuration(Bucket="my-scans")
        assert "EventBridgeConfiguration" in told

        ministack.client("logs").create_log_group(logGroupName=computed["JobLogGroup"])
        note = json.dumps({"slide": f"s3://{slides}/170783.svs", "reason": "is cut off"}).encode()
        s3.put_object(Bucket=private, Key="private/failed/170783.json", Body=note)
        assert "170783" in shell.run(page.next("What goes wrong"))
        assert "170783: will be tried again" in shell.run(page.next("What goes wrong"))
        shell.run(page.next("What goes wrong"))
        assert shell.run("output DashboardName").strip()

        shell.run(page.next("What is lost, and what brings it back"))  # see test_restore.py

        main = checkout / "cloudformation/main.yaml"
        changed = "\nResources:\n  Another:\n    Type: AWS::SNS::Topic\n"
        main.write_text(main.read_text().replace("\nResources:\n", changed))
        make, package, deploy, viewer = page.next("Update").splitlines()
        shell.run(f"{make}\n{package}")
        uploaded(ministack, packaged, computed)
        shell.run(f"{deploy}\n{viewer}")
        found = ministack.client("cloudformation").describe_stack_resources(
            StackName="vsv-pyramid"
        )["StackResources"]
        assert "Another" in {one["LogicalResourceId"] for one in found}

        assert {slides, images, private} <= set(
            shell.run(page.next("Remove, without losing slides")).split()
        )
        assert not page.left
    finally:
        shell.end()
    # That buckets are kept is in test_stacks.py: of a nested stack, ministack keeps nothing.
    assert not ministack.client("lambda").list_functions()["Functions"]
