"""The CloudFormation templates as values: read, and as they are with given parameters."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "cloudformation"
NAMES = ("storage", "cdn", "compute", "ingest", "monitor", "main")

ACCOUNT = "123456789012"
REGION = "eu-central-1"
_PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": "stack",
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/stack/0",
    "AWS::URLSuffix": "amazonaws.com",
}
_NO_VALUE = object()

# Each template with all that it can have. The other extreme is all defaults, and what has none.
REQUIRED: dict[str, dict[str, str]] = {
    "storage": {},
    "cdn": {"ImagesBucket": "images-bucket", "LogsBucket": "logs-bucket", "Public": "yes"},
    "compute": {
        "SlidesBucket": "slides-bucket",
        "ImagesBucket": "images-bucket",
        "PrivateBucket": "private-bucket",
        "ImageTag": "1.0",
    },
    "ingest": {
        "SlidesBucket": "slides-bucket",
        "ImagesBucket": "images-bucket",
        "PrivateBucket": "private-bucket",
        "ImageUri": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/repository:1.0",
        "QueueArn": f"arn:aws:batch:{REGION}:{ACCOUNT}:job-queue/queue",
        "JobDefinitionArn": f"arn:aws:batch:{REGION}:{ACCOUNT}:job-definition/definition:1",
        "JobLogGroup": "jobs",
        "ConvertPolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/convert",
    },
    "monitor": {
        "JobLogs": "jobs",
        "IngestLogs": "ingest",
        "SlidesQueue": "slides",
        "QuietFunction": "ingest",
        "TopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:topic",
    },
    "main": {"Public": "yes"},
}
_PUBLIC_KEY = "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----"
_KEY_ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-0000-0000-000000000000"
_PRIVATE_KEY_ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-1111-1111-1111-111111111111"
_EFS = f"arn:aws:elasticfilesystem:{REGION}:{ACCOUNT}"
_CERTIFICATE = f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/0"
_DETAILS = {
    "Details": "lab",
    "Layout": "packed",
    "Ids": "opaque",
    "SlideIdPattern": r"S\d\d-\d{4,6} [A-Z]'?\d+",
    "TimeZone": "Europe/Berlin",
}
EVERYTHING: dict[str, dict[str, str]] = {
    "storage": {
        "SlidesKeyArn": _KEY_ARN,
        "PrivateKeyArn": _PRIVATE_KEY_ARN,
        "PackedToGlacierDays": "30",
        "SlidesToDeepArchiveDays": "90",
        "LogsDays": "2192",
    },
    "cdn": {
        "ImagesPrefix": "pathology/a/",
        "Public": "no",
        "PublicKey": _PUBLIC_KEY,
        "SecondPublicKey": _PUBLIC_KEY,
        "Alias": "slides.example.org",
        "CertificateArn": _CERTIFICATE,
        "AllowedOrigin": "https://pages.example.org",
        "WebAclArn": f"arn:aws:wafv2:us-east-1:{ACCOUNT}:global/webacl/a/0",
    },
    "compute": {
        "SlidesPrefix": "scans/",
        "ImagesPrefix": "pathology/a/",
        "SlidesKeyArn": _KEY_ARN,
        "PrivateKeyArn": _PRIVATE_KEY_ARN,
        "ConvertOptions": "--quality 85",
        **_DETAILS,
        "FileSystem": "new",
    },
    "ingest": {
        "SlidesPrefix": "scans/",
        "ImagesPrefix": "pathology/a/",
        "PrivateKeyArn": _PRIVATE_KEY_ARN,
        "ConvertOptions": "--quality 85",
        **_DETAILS,
        "FileSystemArn": f"{_EFS}:file-system/fs-0123456789abcdef0",
        "AccessPointArn": f"{_EFS}:access-point/fsap-0123456789abcdef0",
        "Subnets": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
        "SecurityGroupId": "sg-0123456789abcdef0",
        "AlarmEmail": "alarm@example.org",
    },
    "monitor": {
        "ScanLogs": "scan",
        "AlarmEmail": "alarm@example.org",
        "AlarmAfterQuietHours": "24",
        "MonthlyBudget": "500",
    },
    "main": {
        "ImageTag": "1.0",
        "FileSystem": "new",
        "Public": "no",
        "PublicKey": _PUBLIC_KEY,
        "SecondPublicKey": _PUBLIC_KEY,
    },
}
EVERYTHING = {name: REQUIRED[name] | EVERYTHING[name] for name in NAMES}


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short functions, as the long ones."""


def _function(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _function)


def load(name: str) -> dict[str, Any]:
    """The template, with functions in their long form."""
    return parsed((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


def parsed(text: str | bytes) -> dict[str, Any]:
    body = yaml.load(text, _Loader)
    assert isinstance(body, dict)
    return body


@dataclass(frozen=True)
class _Scope:
    body: Mapping[str, Any]
    parameters: Mapping[str, Any]
    only_conditions: bool

    def condition(self, name: str) -> bool:
        deciding = _Scope(self.body, self.parameters, only_conditions=False)
        return bool(deciding.value(self.body["Conditions"][name]))

    def value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [value for item in node if (value := self.value(item)) is not _NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (name, argument), *_ = node.items()
            if (
                name.startswith("Fn::")
                or name == "Ref"
                or (name, type(argument)) == ("Condition", str)
            ):
                return self._called(name, argument, node)
        values = {key: self.value(value) for key, value in node.items()}
        return {key: value for key, value in values.items() if value is not _NO_VALUE}

    def _called(self, name: str, argument: Any, node: dict[str, Any]) -> Any:
        if name == "Fn::If":
            condition, yes, no = argument
            return self.value(yes if self.condition(condition) else no)
        if name == "Ref" and argument == "AWS::NoValue":
            return _NO_VALUE
        if self.only_conditions and name == "Ref":
            return copy.deepcopy(node)
        if self.only_conditions:
            return {name: self.value(argument)}
        match name:
            case "Condition":
                return self.condition(argument)
            case "Ref":
                return self._ref(argument)
            case "Fn::GetAtt":
                return f"<{'.'.join(argument)}>"
            case "Fn::Sub":
                text, own = argument if isinstance(argument, list) else (argument, {})
                own = {key: self.value(value) for key, value in own.items()}
                return re.sub(
                    r"\$\{([^}!]+)\}",
                    lambda found: str(own[found[1]] if found[1] in own else self._ref(found[1])),
                    text,
                )
        values = self.value(argument)
        match name:
            case "Fn::Equals":
                return values[0] == values[1]
            case "Fn::Not":
                return not values[0]
            case "Fn::And":
                return all(values)
            case "Fn::Or":
                return any(values)
            case "Fn::Contains":
                return values[1] in values[0]
            case "Fn::Select":
                return values[1][int(values[0])]
            case "Fn::Split":
                return values[1].split(values[0])
            case "Fn::Join":
                return values[0].join(values[1])
            case "Fn::FindInMap":
                return self.body["Mappings"][values[0]][values[1]][values[2]]
            case "Fn::GetAZs":
                return [f"{REGION}a", f"{REGION}b"]
        raise AssertionError(f"{name} is not known here")

    def _ref(self, name: str) -> Any:
        if name in self.parameters:
            return self.parameters[name]
        return _PSEUDO.get(name, f"<{name}>")


def _scope(body: Mapping[str, Any], given: Mapping[str, Any], only_conditions: bool) -> _Scope:
    parameters = {}
    for name, parameter in body.get("Parameters", {}).items():
        value = given.get(name, parameter.get("Default"))
        assert value is not None, f"{name} is missing"
        if parameter["Type"] == "CommaDelimitedList":
            value = value.split(",") if value else []
        parameters[name] = value
    assert given.keys() <= parameters.keys(), given.keys() - parameters.keys()
    return _Scope(body, parameters, only_conditions)


def resources(body: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The resources that the template makes with these parameters, all functions resolved; what
    only AWS knows is <Resource> or <Resource.Attribute>."""
    return _made(_scope(body, given, only_conditions=False), body["Resources"])


def outputs(body: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs, in the same way."""
    return _made(_scope(body, given, only_conditions=False), body["Outputs"])


def refused(body: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """What the template's rules say against these parameters."""
    scope = _scope(body, given, only_conditions=False)
    return [
        one["AssertDescription"]
        for rule in body["Rules"].values()
        if scope.value(rule["RuleCondition"])
        for one in rule["Assertions"]
        if not scope.value(one["Assert"])
    ]


def unconditional(body: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The template with these parameters' conditions decided, for a stand-in that leaves a null in
    a list where a condition gives no value."""
    scope = _scope(body, given, only_conditions=True)
    kept = {key: value for key, value in body.items() if key not in ("Conditions", "Rules")}
    return kept | {part: _made(scope, body[part]) for part in ("Resources", "Outputs")}


def _made(scope: _Scope, things: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the resources or outputs that there are."""
    return {
        name: scope.value({key: value for key, value in thing.items() if key != "Condition"})
        for name, thing in things.items()
        if "Condition" not in thing or scope.condition(thing["Condition"])
    }
