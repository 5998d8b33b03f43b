"""What each CloudFormation template is made to do, for all that its parameters allow."""

from __future__ import annotations

import dataclasses
import json
import re
import uuid
from fnmatch import fnmatchcase

import pytest

from tests.support import cloudformation
from tests.support import cloudformation_rules as rules
from tests.support.cloudformation import EVERYTHING, FOLDER, NAMES, REQUIRED
from vsv_pyramid.conversion.summary import Summary
from vsv_pyramid.layout import keys
from vsv_pyramid.layout.keys import NEVER_THERE as NEVER_THERE
from vsv_pyramid.review import rescans
from vsv_pyramid.store import parts

pytestmark = pytest.mark.aws


@pytest.mark.parametrize("vcpus", ["1", "2", "4", "8", "16"])
@pytest.mark.parametrize("gibibytes", ["21", "200"])
def test_every_job_that_parameters_allow_is_within_limits(vcpus: str, gibibytes: str) -> None:
    body = cloudformation.load("compute")
    assert vcpus in body["Parameters"]["Vcpus"]["AllowedValues"]
    given = REQUIRED["compute"] | {"Vcpus": vcpus, "ScratchGiB": gibibytes}
    assert list(rules.jobs_within_limits(cloudformation.resources(body, given))) == []


@pytest.mark.parametrize("name", ["compute", "main"])
def test_parameters_allow_what_fargate_does(name: str) -> None:
    parameters = cloudformation.load(name)["Parameters"]
    assert set(parameters["Vcpus"]["AllowedValues"]) <= rules.FARGATE_MEMORY.keys()
    assert parameters["ScratchGiB"]["MinValue"] == 21
    assert parameters["ScratchGiB"]["MaxValue"] == 200


# What others rely on

DETAILS = {
    "VSV_PYRAMID_DETAILS": "lab",
    "VSV_PYRAMID_LAYOUT": "packed",
    "VSV_PYRAMID_IDS": "opaque",
    "VSV_PYRAMID_SLIDE_ID_PATTERN": r"S\d\d-\d{4,6} [A-Z]'?\d+",
    "VSV_PYRAMID_TIME_ZONE": "Europe/Berlin",
}


@pytest.mark.parametrize(
    ("prefix", "destination", "private"),
    [
        ("", "s3://images-bucket", "s3://private-bucket"),
        ("a/", "s3://images-bucket/a", "s3://private-bucket/a"),
        ("a/b/", "s3://images-bucket/a/b", "s3://private-bucket/a/b"),
    ],
)
def test_the_job_is_started_as_the_worker_expects(
    prefix: str, destination: str, private: str
) -> None:
    given = EVERYTHING["compute"] | {"ImagesPrefix": prefix}
    made = cloudformation.resources(cloudformation.load("compute"), given)
    container = made["JobDefinition"]["Properties"]["ContainerProperties"]
    assert container["Command"] == ["Ref::place"]
    assert {one["Name"]: one["Value"] for one in container["Environment"]} == {
        "VSV_PYRAMID_SLIDES": "s3://slides-bucket/scans /mnt/slides",
        "VSV_PYRAMID_DESTINATION": destination,
        "VSV_PYRAMID_PRIVATE": private,
        "VSV_PYRAMID_OPTIONS": "--quality 85",
        **DETAILS,
    }
    (mount,) = container["MountPoints"]
    assert mount == {"SourceVolume": "slides", "ContainerPath": "/mnt/slides", "ReadOnly": True}


OF_ARRIVALS = {"Ingest": {"VSV_PYRAMID_MOST_WAITING": 200, "VSV_PYRAMID_ARRIVALS": "<Slides>"}}


@pytest.mark.parametrize(("name", "handler"), [("Ingest", "ingest"), ("Scanner", "scan")])
def test_functions_are_started_as_the_handlers_expect(name: str, handler: str) -> None:
    made = cloudformation.resources(cloudformation.load("ingest"), EVERYTHING["ingest"])
    function = made[name]["Properties"]
    assert function["PackageType"] == "Image"
    assert function["ImageConfig"] == {
        "EntryPoint": ["/opt/vsv-pyramid/bin/python", "-m", "awslambdaric"],
        "Command": [f"lambda_handler.{handler}"],
    }
    assert function["Environment"]["Variables"] == {
        "VSV_PYRAMID_SLIDES": "s3://slides-bucket/scans" if name == "Ingest" else "/mnt/slides",
        "VSV_PYRAMID_DESTINATION": "s3://images-bucket/pathology/a",
        "VSV_PYRAMID_PRIVATE": "s3://private-bucket/pathology/a",
        "VSV_PYRAMID_OPTIONS": "--quality 85",
        **DETAILS,
        "VSV_PYRAMID_QUEUE": EVERYTHING["ingest"]["QueueArn"],
        "VSV_PYRAMID_JOB_DEFINITION": EVERYTHING["ingest"]["JobDefinitionArn"],
        "VSV_PYRAMID_FAILURES": "<Failures>",
        "VSV_PYRAMID_MOST_MEGABYTES": 1000,
        **OF_ARRIVALS.get(name, {}),
    }
    if name == "Scanner":
        (mount,) = function["FileSystemConfigs"]
        assert mount["LocalMountPath"] == "/mnt/slides"


def test_the_reporter_is_started_as_its_handler_expects() -> None:
    given = EVERYTHING["ingest"]
    made = cloudformation.resources(cloudformation.load("ingest"), given)
    function = made["Reporter"]["Properties"]
    assert function["ImageConfig"]["Command"] == ["reporter.report"]
    assert function["Environment"]["Variables"] == {
        "VSV_PYRAMID_SLIDES": "s3://slides-bucket/scans",
        "VSV_PYRAMID_DESTINATION": "s3://images-bucket/pathology/a",
        "VSV_PYRAMID_PRIVATE": "s3://private-bucket/pathology/a",
        "VSV_PYRAMID_IDS": given["Ids"],
        "VSV_PYRAMID_QUEUE": given["QueueArn"],
        "VSV_PYRAMID_JOB_DEFINITION": given["JobDefinitionArn"],
        "VSV_PYRAMID_JOB_LOG": given["JobLogGroup"],
        "VSV_PYRAMID_TOPIC": "<Topic>",
    }
    source = made["ReportSource"]["Properties"]
    assert (source["EventSourceArn"], source["BatchSize"]) == ("<Failures.Arn>", 100)


def test_the_dashboard_and_its_metrics() -> None:
    """What it shows is measured by the line that every conversion writes, or by a function."""
    made = cloudformation.resources(cloudformation.load("monitor"), EVERYTHING["monitor"])
    body = json.loads(made["Dashboard"]["Properties"]["DashboardBody"])
    shown = {
        metric[1]
        for widget in body["widgets"]
        for metric in widget["properties"]["metrics"]
        if metric[0] == "vsv-pyramid"
    }
    filters = [properties for _, properties in rules.of_type(made, "AWS::Logs::MetricFilter")]
    assert {one["LogGroupName"] for one in filters} == {"jobs", "ingest", "scan"}
    fields = {field.name for field in dataclasses.fields(Summary)}
    measured = set()
    for one in filters:
        (transformation,) = one["MetricTransformations"]
        assert transformation["MetricNamespace"] == "vsv-pyramid"
        assert transformation["MetricValue"].removeprefix("$.") in fields
        measured.add(transformation["MetricName"])
    assert shown == measured | {"Failures"}


@pytest.mark.parametrize(("asked", "there"), [({}, False), (EVERYTHING["monitor"], True)])
def test_what_is_measured_only_if_somebody_asks(asked: dict[str, str], there: bool) -> None:
    given = REQUIRED["monitor"] | asked
    made = cloudformation.resources(cloudformation.load("monitor"), given)
    assert ("Budget" in made, "QuietAlarm" in made) == (there, there)


def test_the_audit_and_the_scan_have_alarms() -> None:
    made = cloudformation.resources(cloudformation.load("ingest"), EVERYTHING["ingest"])
    made_by = {"WaitingAlarm": "Ingest", "ScanWaitingAlarm": "Scanner"}
    for name, function in made_by.items():
        alarm = made[name]["Properties"]
        assert (alarm["Namespace"], alarm["MetricName"]) == ("vsv-pyramid", "OldestWaitingHours")
        assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": f"<{function}>"}]
    (target,) = made["AuditRule"]["Properties"]["Targets"]
    assert json.loads(target["Input"]) == {"audit": True}


SLIDES, IMAGES, KEPT = (f"arn:aws:s3:::{name}-bucket" for name in ("slides", "images", "private"))
WHOLE = ("Get", "Put", "Delete")
LISTED = {("s3:ListBucket", IMAGES), ("s3:ListBucket", KEPT)}


def rights(verbs: tuple[str, ...], *places: str) -> set[tuple[str, str]]:
    return {(f"s3:{verb}Object", place) for verb in verbs for place in places}


# What lies at the keys that a rescan and its check of rights delete.
PICTURES = [keys.private_image_key("*", name) for name in rescans.PICTURES]
PROBE = f"{keys.private_folder('*')}/{NEVER_THERE}"
# The list of what is private, once it is spread over several documents.
SHARDS = f"{keys.KEPT}/index-*-??.json"
FAILED = f"{keys.FAILED}/*"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "ConvertPolicy",
            {
                *rights(("Get",), f"{SLIDES}/*", f"{KEPT}/manifests/*"),
                ("s3:ListBucket", SLIDES),
                *LISTED,
                *rights(WHOLE, f"{IMAGES}/images/*", f"{IMAGES}/.leases/*"),
                ("s3:AbortMultipartUpload", f"{IMAGES}/images/*"),
                ("s3:ListMultipartUploadParts", f"{IMAGES}/images/*"),
                ("s3:ListBucketMultipartUploads", IMAGES),
                *rights(("Get", "Put"), f"{KEPT}/root.json", f"{KEPT}/private/*"),
                *rights(
                    ("Delete",), *(f"{KEPT}/{key}" for key in (*PICTURES, PROBE, SHARDS, FAILED))
                ),
            },
        ),
        (
            "DeskPolicy",
            {
                *LISTED,
                *rights(WHOLE, f"{IMAGES}/images/*", f"{IMAGES}/.leases/*", f"{KEPT}/private/*"),
                *rights(("Get",), f"{KEPT}/root.json"),
            },
        ),
    ],
)
def test_policies_allow_what_is_needed_and_no_more(
    name: str, expected: set[tuple[str, str]]
) -> None:
    made = cloudformation.resources(cloudformation.load("compute"), REQUIRED["compute"])
    document = made[name]["Properties"]["PolicyDocument"]["Statement"]
    assert {
        (action, resource)
        for one in document
        for action in rules.as_list(one["Action"])
        for resource in rules.as_list(one["Resource"])
    } == expected
    # HeadBucket, and 404 instead of 403, come without a prefix.
    for one in document:
        if one["Action"] == "s3:ListBucket":
            assert one["Condition"] == {"StringLikeIfExists": {"s3:prefix": "*"}}


def test_no_document_of_a_slide_is_taken_for_a_part_of_the_list() -> None:
    """What a policy's wildcards match, slashes, too, is what fnmatch's do."""
    shard = keys.shard_name(uuid.uuid4().hex, 7)
    assert fnmatchcase(f"{keys.KEPT}/{shard}", SHARDS)
    for slide_id in ("index-1", "index-a-01", shard.removesuffix(".json")):
        assert keys.is_id(slide_id)
        assert not fnmatchcase(keys.private_json_key(slide_id), SHARDS)


@pytest.mark.parametrize("name", ["ConvertPolicy", "DeskPolicy"])
def test_policies_with_keys_and_prefixes(name: str) -> None:
    given = EVERYTHING["compute"]
    made = cloudformation.resources(cloudformation.load("compute"), given)
    for one in made[name]["Properties"]["PolicyDocument"]["Statement"]:
        if one["Action"] == "s3:ListBucket" and IMAGES in one["Resource"]:
            assert one["Condition"] == {"StringLikeIfExists": {"s3:prefix": "pathology/a/*"}}
        for resource in rules.as_list(one["Resource"]):
            bucket, slash, key = resource.partition("/")
            if slash and bucket in (IMAGES, KEPT):
                assert key.startswith("pathology/a/")
    granted = {
        one["Resource"]: set(rules.as_list(one["Action"]))
        for one in made[name]["Properties"]["PolicyDocument"]["Statement"]
        if one["Resource"] in (given["SlidesKeyArn"], given["PrivateKeyArn"])
    }
    assert granted.pop(given["PrivateKeyArn"]) == {"kms:Decrypt", "kms:GenerateDataKey"}
    assert granted == ({given["SlidesKeyArn"]: {"kms:Decrypt"}} if name == "ConvertPolicy" else {})


def test_the_desk_is_nobodys_by_default() -> None:
    made = cloudformation.resources(cloudformation.load("compute"), EVERYTHING["compute"])
    assert made["DeskPolicy"]["Properties"].keys() == {"Description", "PolicyDocument"}
    for name, resource in made.items():
        if name != "DeskPolicy":
            assert "<DeskPolicy>" not in json.dumps(resource)


def test_the_scan_remembers_in_the_private_place() -> None:
    made = cloudformation.resources(cloudformation.load("ingest"), EVERYTHING["ingest"])
    (policy,) = made["ScanRole"]["Properties"]["Policies"]
    found = [one for one in policy["PolicyDocument"]["Statement"] if "s3:" in str(one["Action"])]
    assert found == [
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            "Resource": f"{KEPT}/pathology/a/{keys.WATCHED}/*",
        }
    ]
    assert "s3:" not in json.dumps(made["IngestRole"])


def test_what_is_private_is_encrypted_logged_and_cleared_of_manifests() -> None:
    given = EVERYTHING["storage"] | {"ImagesPrefix": "pathology/a/"}
    made = cloudformation.resources(cloudformation.load("storage"), given)
    private = made["Private"]["Properties"]
    assert private["BucketEncryption"]["ServerSideEncryptionConfiguration"] == [
        {
            "BucketKeyEnabled": True,
            "ServerSideEncryptionByDefault": {
                "SSEAlgorithm": "aws:kms",
                "KMSMasterKeyID": given["PrivateKeyArn"],
            },
        }
    ]
    owned = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert private["OwnershipControls"] == owned
    logging = {"DestinationBucketName": "<Logs>", "LogFilePrefix": "private/"}
    assert private["LoggingConfiguration"] == logging
    aborted, versions, manifests = private["LifecycleConfiguration"]["Rules"]
    assert aborted["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert versions["ExpiredObjectDeleteMarker"] is True
    assert (manifests["Prefix"], manifests["ExpirationInDays"]) == (
        f"pathology/a/{keys.MANIFESTS}/",
        30,
    )
    rules_of_images = made["Images"]["Properties"]["LifecycleConfiguration"]["Rules"]
    names = ["AbortedUploads", "FormerVersions", "PackedSlides"]
    assert [one["Id"] for one in rules_of_images] == names


def test_packed_slides_and_slides_move_when_it_is_asked_for() -> None:
    days = {"PackedToGlacierDays": "30", "SlidesToDeepArchiveDays": "90"}
    body = cloudformation.load("storage")
    for given, status in ((days, "Enabled"), ({}, "Disabled")):
        made = cloudformation.resources(body, REQUIRED["storage"] | given)
        moving = {
            name: [
                rule
                for rule in made[name]["Properties"]["LifecycleConfiguration"]["Rules"]
                if "Transitions" in rule
            ]
            for name in ("Images", "Slides", "Private")
        }
        assert moving["Private"] == []
        (packed,), (archived,) = moving["Images"], moving["Slides"]
        assert (packed["Id"], packed["Status"]) == ("PackedSlides", status)
        assert (archived["Id"], archived["Status"]) == ("ArchivedSlides", status)
        assert int(packed["ObjectSizeGreaterThan"]) >= parts.PART_BYTES
        assert packed["Transitions"][0]["StorageClass"] == "GLACIER_IR"
        assert archived["Transitions"][0]["StorageClass"] == "DEEP_ARCHIVE"


APART = "PrivateBucket cannot be ImagesBucket, which is published"
SEEN = "Everybody would see the slides; give PublicKey or KeyGroupId, or say Public=yes"
NOT_BOTH = "Give PublicKey or KeyGroupId, not both"
NOT_PUBLIC = "With a key nothing is public; leave Public=yes out, or the keys"
CLOSED = {"Public": "no"}


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        *(
            (name, given, said)
            for name in ("storage", "main")
            for given, said in (
                ({}, []),
                ({"ImagesBucket": "a"}, []),
                ({"PrivateBucket": "a"}, []),
                ({"ImagesBucket": "a", "PrivateBucket": "b"}, []),
                ({"ImagesBucket": "a", "PrivateBucket": "a"}, [APART]),
            )
        ),
        *(
            (name, given, said)
            for name in ("cdn", "main")
            for given, said in (
                (CLOSED, [SEEN]),
                (CLOSED | {"PublicKey": "a"}, []),
                (CLOSED | {"SecondPublicKey": "a"}, []),
                (CLOSED | {"PublicKey": "a", "SecondPublicKey": "b"}, []),
                (CLOSED | {"KeyGroupId": "a"}, []),
                (CLOSED | {"PublicKey": "a", "KeyGroupId": "b"}, [NOT_BOTH]),
                (CLOSED | {"SecondPublicKey": "a", "KeyGroupId": "b"}, [NOT_BOTH]),
                ({"PublicKey": "a"}, [NOT_PUBLIC]),
                ({"SecondPublicKey": "a"}, [NOT_PUBLIC]),
                ({"KeyGroupId": "a"}, [NOT_PUBLIC]),
            )
        ),
        ("main", {"FileSystem": "new"}, []),
        ("main", {"FileSystem": "fs-0"}, ["An existing FileSystem needs its VpcId and Subnets"]),
        ("compute", {"VpcId": "vpc-0", "Subnets": "subnet-0,subnet-1"}, []),
    ],
)
def test_parameters_that_do_not_go_together(
    name: str, given: dict[str, str], said: list[str]
) -> None:
    assert cloudformation.refused(cloudformation.load(name), REQUIRED[name] | given) == said


@pytest.mark.parametrize("name", ["cdn", "main"])
def test_it_is_closed_where_nothing_is_said(name: str) -> None:
    body = cloudformation.load(name)
    said = {key: value for key, value in REQUIRED[name].items() if key != "Public"}
    assert SEEN in cloudformation.refused(body, said)


@pytest.mark.parametrize(
    ("given", "trusted"),
    [
        ({"PublicKey": "a"}, ["<SigningKey>"]),
        ({"SecondPublicKey": "b"}, ["<SecondSigningKey>"]),
        ({"PublicKey": "a", "SecondPublicKey": "b"}, ["<SigningKey>", "<SecondSigningKey>"]),
    ],
)
def test_the_keys_that_are_given_are_trusted(given: dict[str, str], trusted: list[str]) -> None:
    body = cloudformation.load("cdn")
    made = cloudformation.resources(body, REQUIRED["cdn"] | CLOSED | given)
    assert made["KeyGroup"]["Properties"]["KeyGroupConfig"]["Items"] == trusted
    keys = {
        name: made[name]["Properties"]["PublicKeyConfig"] for name in made if "SigningKey" in name
    }
    assert [f"<{name}>" for name in keys] == trusted
    assert [key["EncodedKey"] for key in keys.values()] == [f"{key}\n" for key in given.values()]
    for unique in "Name", "CallerReference":
        assert len({key[unique] for key in keys.values()}) == len(trusted)


def test_slides_are_kept_and_announced() -> None:
    """What the stand-in leaves out of a bucket."""
    made = cloudformation.resources(cloudformation.load("storage"), EVERYTHING["storage"])
    slides = made["Slides"]["Properties"]
    (rule,) = slides["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": EVERYTHING["storage"]["SlidesKeyArn"],
    }
    assert slides["VersioningConfiguration"] == {"Status": "Enabled"}
    assert slides["LoggingConfiguration"]["DestinationBucketName"] == "<Logs>"
    told = slides["NotificationConfiguration"]["EventBridgeConfiguration"]
    assert told == {"EventBridgeEnabled": True}
    # No rule ends a slide itself.
    for one in slides["LifecycleConfiguration"]["Rules"]:
        assert not {"ExpirationInDays", "ExpirationDate"} & one.keys()
        assert "Transitions" not in one or one["Id"] == "ArchivedSlides"
    unasked = cloudformation.resources(cloudformation.load("storage"), REQUIRED["storage"])
    (moving,) = (
        one
        for one in unasked["Slides"]["Properties"]["LifecycleConfiguration"]["Rules"]
        if "Transitions" in one
    )
    assert moving["Status"] == "Disabled"


# What nests them


@pytest.mark.parametrize("name", ["storage", "cdn", "compute", "ingest", "monitor"])
def test_main_gives_each_template_what_it_takes(name: str) -> None:
    main, body = cloudformation.load("main"), cloudformation.load(name)
    (stack,) = (
        one["Properties"]
        for one in main["Resources"].values()
        if one["Properties"]["TemplateURL"] == f"{name}.yaml"
    )
    assert stack["Parameters"].keys() == body["Parameters"].keys()
    assert (FOLDER / stack["TemplateURL"]).exists()
    # What both have, both describe with the same bounds.
    for parameter in main["Parameters"].keys() & body["Parameters"].keys():
        if stack["Parameters"][parameter] == {"Ref": parameter}:
            bounds = ("AllowedValues", "MinValue", "MaxValue", "Default")
            ours, theirs = main["Parameters"][parameter], body["Parameters"][parameter]
            for bound in bounds:
                assert theirs.get(bound) in (None, ours.get(bound)), (parameter, bound)


KEY = {"PublicKey": "-----BEGIN PUBLIC KEY-----"}


@pytest.mark.parametrize(
    ("given", "details"),
    [
        ({"Public": "yes"}, "none"),
        (KEY, "lab"),
        ({"SecondPublicKey": KEY["PublicKey"]}, "lab"),
        ({"KeyGroupId": "group"}, "lab"),
        ({"Public": "yes", "Details": "auto"}, "none"),
        ({"Public": "yes", "Details": "lab"}, "lab"),
        (KEY | {"Details": "none"}, "none"),
        (KEY | {"Details": "lab"}, "lab"),
    ],
)
def test_details_are_published_behind_a_key(given: dict[str, str], details: str) -> None:
    body = cloudformation.load("main")
    made = cloudformation.resources(body, given | {"ImageTag": "1"})
    for name in ("Compute", "Ingest"):
        assert made[name]["Properties"]["Parameters"]["Details"] == details
    assert cloudformation.outputs(body, given)["Details"]["Value"] == details


@pytest.mark.parametrize("name", ["compute", "ingest", "main"])
@pytest.mark.parametrize(
    ("zone", "is_taken"),
    [
        ("", True),
        ("Europe/Berlin", True),
        ("America/Argentina/Buenos_Aires", True),
        ("Etc/GMT+1", True),
        ("+01:00", True),
        ("-0330", True),
        ("Europe/Berlin ", False),
        ("--details lab", False),
    ],
)
def test_time_zones(name: str, zone: str, is_taken: bool) -> None:
    pattern = cloudformation.load(name)["Parameters"]["TimeZone"]["AllowedPattern"]
    assert bool(re.search(pattern, zone)) is is_taken


def test_main_asks_for_outputs_that_there_are() -> None:
    main = cloudformation.load("main")
    asked = set(re.findall(r'"(\w+)", "Outputs\.(\w+)"', json.dumps(main)))
    asked |= set(re.findall(r"\$\{(\w+)\.Outputs\.(\w+)\}", json.dumps(main)))
    assert len(asked) > 10
    for stack, output in asked:
        template = main["Resources"][stack]["Properties"]["TemplateURL"].removesuffix(".yaml")
        assert output in cloudformation.load(template)["Outputs"]


def test_main_makes_no_lambda_before_there_is_an_image() -> None:
    body = cloudformation.load("main")
    assert "Ingest" not in cloudformation.resources(body, {})
    assert "Ingest" in cloudformation.resources(body, {"ImageTag": "1"})


def test_every_parameter_is_used_and_described() -> None:
    for name in NAMES:
        body = cloudformation.load(name)
        rest = json.dumps({key: value for key, value in body.items() if key != "Parameters"})
        for parameter, facts in body["Parameters"].items():
            assert f'"Ref": "{parameter}"' in rest or f"${{{parameter}}}" in rest, parameter
            if name == "main":
                assert facts["Description"], parameter
                assert f"| `{parameter}` |" in (FOLDER / "README.md").read_text(), parameter


README = (FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_readme_names_what_there_is() -> None:
    main = cloudformation.load("main")
    outputs = set(re.findall(r"\$\(output (\w+)\)", README.replace("\n", " ")))
    assert len(outputs) > 6
    assert outputs <= main["Outputs"].keys()
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
    given = set(re.findall(r"\b([A-Z]\w+)=[^=]", blocks)) - {"TEMPLATES", "REPOSITORY", "TAG"}
    given -= {"AWS_REGION"}
    assert given
    assert given <= main["Parameters"].keys()
    table = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", README, re.MULTILINE))
    assert main["Parameters"].keys() <= table.keys()
    for name, parameter in main["Parameters"].items():
        if parameter["Default"] != "":
            assert table[name].strip("`") == str(parameter["Default"]), name
