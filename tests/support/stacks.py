"""The templates as stacks on the stand-in that can make each: Batch on moto, all others on
ministack."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.support import cloudformation
from tests.support.aws_stand_ins import ACCOUNTS, StandIn
from tests.support.site import Answer, Site

Made = dict[str, str]  # physical ids by logical ones

_SECONDS = 60.0  # for what must come at some time

POINT = "fsap-0123456789abcdef0"
_ARN_OF_POINT = f"arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/{POINT}"
_POINT_ARN = {"Fn::GetAtt": ["AccessPoint", "Arn"]}


def stored(ministack: StandIn, name: str) -> dict[str, str]:
    """The names of the buckets, as storage.yaml's outputs have them."""
    body = cloudformation.load("storage")
    made = ministack.create(name, body, {})
    assert made.keys() == body["Resources"].keys()
    return ministack.outputs(name)


@dataclass(frozen=True)
class Distribution:
    """CloudFront's, of cdn.yaml."""

    ministack: StandIn
    made: Made
    host: str

    @property
    def port(self) -> int:
        """Where it listens, whatever the host."""
        port = urlsplit(self.ministack.url).port
        assert port
        return port

    def get(self, path: str, *, scheme: str = "https") -> Answer:
        return Site(self.port).ask(path, Host=self.host, X_Forwarded_Proto=scheme)


def without_public_key() -> dict[str, Any]:
    """cdn.yaml; ministack refuses a template that has these types in it, used or not."""
    body = cloudformation.load("cdn")
    names = ("SigningKey", "SecondSigningKey", "KeyGroup")
    kinds = {body["Resources"].pop(name)["Type"] for name in names}
    assert kinds == {"AWS::CloudFront::PublicKey", "AWS::CloudFront::KeyGroup"}
    del body["Outputs"]["KeyId"], body["Outputs"]["SecondKeyId"]
    group = {"Fn::If": ["MakeKeyGroup", {"Ref": "KeyGroup"}, {"Ref": "KeyGroupId"}]}
    text = json.dumps(body).replace(json.dumps(group), json.dumps({"Ref": "KeyGroupId"}))
    made: dict[str, Any] = json.loads(text)
    return made


def monitoring() -> dict[str, Any]:
    """monitor.yaml, without what ministack does not know."""
    body = cloudformation.load("monitor")
    unknown = ("AWS::Logs::MetricFilter", "AWS::Budgets::Budget")
    made = body["Resources"].items()
    return {**body, "Resources": {name: one for name, one in made if one["Type"] not in unknown}}


def distributed(
    ministack: StandIn, buckets: Mapping[str, str], name: str, **parameters: str
) -> Distribution:
    """The distribution of what is in the bucket of images, which only it may read."""
    given = {"ImagesBucket": buckets["ImagesBucket"], "LogsBucket": buckets["LogsBucket"]}
    given["Public"] = "no" if "KeyGroupId" in parameters else "yes"
    resources = cloudformation.resources(cloudformation.load("cdn"), given | parameters)
    body = without_public_key()
    made = ministack.create(name, body, given | parameters)
    assert made.keys() == resources.keys()
    s3 = ministack.client("s3")
    bucket = buckets["ImagesBucket"]
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    tls, *others = policy["Statement"]
    assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    arn = f"arn:aws:cloudfront::{ACCOUNTS['ministack']}:distribution/{made['Distribution']}"
    for one in others:
        assert one["Principal"] == {"Service": "cloudfront.amazonaws.com"}
        assert one["Condition"] == {"StringEquals": {"AWS:SourceArn": arn}}
    # There is no TLS here, and ministack obeys the policy: the rest of it has to do.
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({**policy, "Statement": others}))
    return Distribution(ministack, made, ministack.outputs(name)["DomainName"])


def computing(moto: StandIn, name: str, parameters: Mapping[str, str]) -> Made:
    """compute.yaml's stack. Moto skips in silence what it does not know, and says
    CREATE_COMPLETE."""
    body = cloudformation.load("compute")
    resources = cloudformation.resources(body, parameters)
    body = cloudformation.unconditional(body, parameters)  # it leaves nulls for AWS::NoValue
    # What AWS does by itself and moto does not: a name that ECR takes, and Batch's own role.
    body["Resources"]["Repository"]["Properties"]["RepositoryName"] = name
    role = moto.client("iam").create_role(RoleName=f"batch-{name}", AssumeRolePolicyDocument="{}")
    for environment in ("Spot", "OnDemand"):
        body["Resources"][environment]["Properties"]["ServiceRole"] = role["Role"]["Arn"]
    # An access point that it makes has neither Ref nor ARN.
    text = json.dumps(body)
    for function, value in (({"Ref": "AccessPoint"}, POINT), (_POINT_ARN, _ARN_OF_POINT)):
        text = text.replace(json.dumps(function), json.dumps(value))
    made = moto.create(name, json.loads(text), parameters)
    assert made.keys() == resources.keys()
    return made


def job_definition(moto: StandIn, made: Made) -> Any:
    # Asked for one by its ARN, moto answers 500.
    found = moto.client("batch").describe_job_definitions()["jobDefinitions"]
    (mine,) = (one for one in found if one["jobDefinitionArn"] == made["JobDefinition"])
    return mine


def ingesting(ministack: StandIn, name: str, parameters: Mapping[str, str]) -> Made:
    """ingest.yaml's stack."""
    body = cloudformation.load("ingest")
    made = ministack.create(name, body, parameters)
    assert made.keys() == cloudformation.resources(body, parameters).keys()
    # There is no container engine to run the image: what comes stays in the queue.
    for source in ("IngestSource", "ReportSource"):
        ministack.client("lambda").update_event_source_mapping(UUID=made[source], Enabled=False)
    return made


def function(ministack: StandIn, made: Made, name: str) -> Any:
    """What ministack knows of a Lambda function."""
    return ministack.client("lambda").get_function_configuration(FunctionName=made[name])


def taken(ministack: StandIn, queue: str) -> Any:
    """The next message of a queue, which is still held by it, as soon as there is one."""
    sqs = ministack.client("sqs")
    end = time.monotonic() + _SECONDS
    while not (found := sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages")):
        assert time.monotonic() < end, "no message comes"
    return found[0]


def received(ministack: StandIn, queue: str, count: int) -> list[Any]:
    """The bodies of a queue's messages, as soon as there are so many of them."""
    sqs = ministack.client("sqs")
    bodies = []
    for _ in range(count):
        message = taken(ministack, queue)
        bodies.append(json.loads(message["Body"]))
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return bodies
