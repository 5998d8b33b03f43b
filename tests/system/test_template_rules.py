"""What all CloudFormation templates have to keep to: linters, and our own rules."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import cloudformation
from tests.support import cloudformation_rules as rules
from tests.support.cloudformation import EVERYTHING, FOLDER, NAMES, REQUIRED
from tests.support.cloudformation_rules import RULES, Rule
from vsv_pyramid.layout.keys import NEVER_THERE as NEVER_THERE

pytestmark = pytest.mark.aws

LINTERS = Path(__file__).parents[2] / ".cache/aws-lint/bin"

# What the linters say and why it stays: (check, resource). They may say nothing else, and have to
# say all of this.
EMPTY = "an empty default means that the condition leaves the resource out"
KMS = "encrypted with AWS's own key: names of slides and messages about them, no slides"
SKIPPED = {
    ("W1030", "cdn.yaml"): EMPTY,
    ("W1030", "compute.yaml"): EMPTY,
    ("W1030", "ingest.yaml"): EMPTY,
    ("W1035", "compute.yaml"): EMPTY,
    ("W3002", "main.yaml"): "the nested templates are uploaded by aws cloudformation package",
    ("CKV_AWS_174", "Distribution"): "without a certificate CloudFront takes no newer minimum",
    ("CKV_AWS_18", "Images"): "read through CloudFront, which keeps its own log",
    ("CKV_AWS_18", "Logs"): "it is where the logs go",
    ("CKV_AWS_19", "Private"): "it is encrypted; checkov does not read Fn::If there",
    ("CKV_AWS_19", "Slides"): "it is encrypted; checkov does not read Fn::If there",
    (
        "CKV_AWS_21",
        "Images",
    ): "pyramids can be made anew, and old tiles would cost as much as new ones",
    ("CKV_AWS_21", "Logs"): "logs are written once",
    ("S3ObjectVersioningRule", "Logs"): "logs are written once",
    ("CKV_AWS_26", "Topic"): "CloudWatch cannot publish to a topic with AWS's own key",
    ("CKV_AWS_27", "Slides"): "encrypted by SQS itself, which this check does not know",
    ("CKV_AWS_27", "Failures"): "encrypted by SQS itself, which this check does not know",
    ("CKV_AWS_111", "ScanRole"): "Lambda's own interfaces, see cloudformation_rules.EXPLAINED",
    ("CKV_AWS_115", "Ingest"): "the event source has a limit; a new account has none to reserve",
    (
        "CKV_AWS_115",
        "Scanner",
    ): "a lease keeps two off one slide; a new account has none to reserve",
    ("CKV_AWS_115", "Reporter"): "its event source has a limit; a new account has none to reserve",
    ("CKV_AWS_116", "Reporter"): "what it cannot take stays in the queue, which is an alarm",
    ("CKV_AWS_117", "Reporter"): "it talks to AWS only: in a VPC it would need a NAT gateway",
    ("CKV_AWS_117", "Ingest"): "it talks to AWS only: in a VPC it would need a NAT gateway",
    ("CKV_AWS_136", "Repository"): "nothing in the image is secret",
    ("CKV_AWS_158", "IngestLog"): KMS,
    ("CKV_AWS_158", "JobLog"): KMS,
    ("CKV_AWS_158", "ReportLog"): KMS,
    ("CKV_AWS_158", "ScanLog"): KMS,
    ("CKV_AWS_173", "Ingest"): "names only, no secrets",
    ("CKV_AWS_173", "Reporter"): "names only, no secrets",
    ("CKV_AWS_173", "Scanner"): "names only, no secrets",
}


def linted(*command: str, codes: tuple[int, ...]) -> str:
    """What a linter prints."""
    program = LINTERS / command[0]
    assert program.exists(), f"{program} is missing: make .cache/aws-lint/.installed"
    done = subprocess.run(
        [str(program), *command[1:]], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode in codes, done.stderr + done.stdout
    return done.stdout


def cfn_lint(folder: Path) -> set[tuple[str, str]]:
    found = linted(
        "cfn-lint",
        "--format",
        "json",
        *(f"{folder}/{name}.yaml" for name in NAMES),
        codes=tuple(range(16)),
    )
    return {(one["Rule"]["Id"], Path(one["Filename"]).name) for one in json.loads(found or "[]")}


def checkov(folder: Path) -> set[tuple[str, str]]:
    words = ("--skip-download", "--framework", "cloudformation", "--quiet", "--compact")
    found = json.loads(linted("checkov", *words, "-o", "json", "-d", str(folder), codes=(0, 1)))
    assert found["summary"]["parsing_errors"] == 0
    assert found["summary"]["passed"] > 50
    failed = found["results"]["failed_checks"]
    return {(one["check_id"], one["resource"].partition(".")[2]) for one in failed}


def cfripper(folder: Path) -> set[tuple[str, str]]:
    # With functions unresolved, many of its rules crash.
    parameters = folder / "parameters.json"
    parameters.write_text(
        json.dumps({key: value for name in NAMES for key, value in EVERYTHING[name].items()})
    )
    resolved = ("--resolve", f"--resolve-parameters={parameters}")
    templates = [f"{folder}/{name}.yaml" for name in NAMES]
    out = linted(
        "cfripper", *templates, "--format=json", *resolved, "--logging=ERROR", codes=(0, 2)
    )
    said = set()
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert len(lines) == len(NAMES)
    for found in lines:
        assert not found["exceptions"]
        for one in found["failures"]:
            said |= {(one["rule"], name) for name in one["resource_ids"] or [one["reason"]]}
    return said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The templates, to be spoiled."""
    for name in NAMES:
        (tmp_path / f"{name}.yaml").write_text((FOLDER / f"{name}.yaml").read_text())
    return tmp_path


CHECKS = {"cfn-lint": cfn_lint, "checkov": checkov, "cfripper": cfripper}
OF_LINTER = {
    "cfn-lint": {key for key in SKIPPED if re.match(r"[EW]\d", key[0])},
    "checkov": {key for key in SKIPPED if key[0].startswith("CKV")},
    "cfripper": {key for key in SKIPPED if key[0].endswith("Rule")},
}


@pytest.mark.parametrize("linter", CHECKS)
def test_linters_say_nothing_that_is_not_explained(linter: str, folder: Path) -> None:
    assert CHECKS[linter](folder) == OF_LINTER[linter]


@pytest.mark.parametrize(
    ("linter", "template", "old", "new"),
    [
        ("cfn-lint", "compute", "PropagateTags: true", "PropagateTag: true"),
        ("checkov", "storage", "BlockPublicAcls: true", "BlockPublicAcls: false"),
        ("cfripper", "ingest", "Action: batch:SubmitJob", 'Action: "*"'),
    ],
)
def test_linters_find_what_is_wrong(
    linter: str, template: str, old: str, new: str, folder: Path
) -> None:
    path = folder / f"{template}.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert CHECKS[linter](folder) - OF_LINTER[linter]


# Our own rules, on each template with as little and with as much as it can have


STACKS = [
    pytest.param(name, given[name], id=f"{name}-{which}")
    for which, given in (("least", REQUIRED), ("most", EVERYTHING))
    for name in NAMES
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize(("name", "given"), STACKS)
def test_rules(rule: Rule, name: str, given: dict[str, str]) -> None:
    assert list(rule(cloudformation.resources(cloudformation.load(name), given))) == []


Defect = Callable[[dict[str, Any]], object]


def put(path: str, value: object) -> Defect:
    """Sets what the path leads to."""
    *way, last = path.split("/")

    def spoil(resources: dict[str, Any]) -> None:
        here: Any = resources
        for step in way:
            here = here[int(step)] if isinstance(here, list) else here[step]
        here[int(last) if isinstance(here, list) else last] = value

    return spoil


def drop(path: str) -> Defect:
    *way, last = path.split("/")

    def spoil(resources: dict[str, Any]) -> None:
        here: Any = resources
        for step in way:
            here = here[int(step)] if isinstance(here, list) else here[step]
        del here[int(last) if isinstance(here, list) else last]

    return spoil


def grow(path: str, value: object) -> Defect:
    """Adds to the list that the path leads to."""

    def spoil(resources: dict[str, Any]) -> None:
        here: Any = resources
        for step in path.split("/"):
            here = here[int(step)] if isinstance(here, list) else here[step]
        here.append(value)

    return spoil


JOB = "JobDefinition/Properties"
CDN = "Distribution/Properties/DistributionConfig"
HEADERS = "Headers/Properties/ResponseHeadersPolicyConfig"
SECURITY, SHARING = f"{HEADERS}/SecurityHeadersConfig", f"{HEADERS}/CorsConfig"
CACHED = "CachePolicy/Properties/CachePolicyConfig"
PRIVATE = "Private/Properties/LifecycleConfiguration/Rules"
CONVERT = "ConvertPolicy/Properties/PolicyDocument/Statement"
DEFECTS: list[tuple[Rule, str, Defect, str]] = [
    (
        rules.buckets_are_private,
        "storage",
        put("Slides/Properties/PublicAccessBlockConfiguration/BlockPublicAcls", False),
        "Slides does not block all public access",
    ),
    (
        rules.buckets_are_private,
        "storage",
        drop("Images/Properties/PublicAccessBlockConfiguration/BlockPublicPolicy"),
        "Images does not block all public access",
    ),
    (
        rules.buckets_are_private,
        "storage",
        put("Logs/Properties/AccessControl", "PublicRead"),
        "Logs has an ACL or is a website",
    ),
    (
        rules.buckets_are_private,
        "storage",
        drop("Slides/Properties/BucketEncryption"),
        "Slides is not encrypted",
    ),
    (
        rules.buckets_are_private,
        "storage",
        drop("Images/Properties/LifecycleConfiguration"),
        "Images keeps aborted uploads",
    ),
    (
        rules.buckets_are_private,
        "storage",
        put("Private/Properties/PublicAccessBlockConfiguration/RestrictPublicBuckets", False),
        "Private does not block all public access",
    ),
    (
        rules.buckets_keep_versions,
        "storage",
        drop("Private/Properties/VersioningConfiguration"),
        "Private has no versions",
    ),
    (
        rules.buckets_keep_versions,
        "storage",
        put(f"{PRIVATE}/1/NoncurrentVersionExpiration/NoncurrentDays", 1),
        "Private does not keep old versions for 90 days",
    ),
    (
        rules.buckets_keep_versions,
        "storage",
        grow(PRIVATE, {"Id": "More", "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}),
        "Private does not keep old versions for 90 days",
    ),
    (
        rules.buckets_keep_versions,
        "storage",
        drop(f"{PRIVATE}/2/Prefix"),
        "Private loses objects by its rule Manifests",
    ),
    (
        rules.buckets_keep_versions,
        "storage",
        put("Slides/Properties/LifecycleConfiguration/Rules/0/Transitions", []),
        "Slides loses objects by its rule AbortedUploads",
    ),
    (
        rules.access_logs_are_let_in,
        "storage",
        drop("Private/Properties/LoggingConfiguration"),
        "Private has no access logs",
    ),
    (
        rules.access_logs_are_let_in,
        "storage",
        drop("LogsPolicy/Properties/PolicyDocument/Statement/1/Resource/1"),
        "Private has access logs that Logs does not let in",
    ),
    (
        rules.a_cdn_reads_what_is_published,
        "cdn",
        put("ImagesPolicy/Properties/PolicyDocument/Statement/1/Resource", "<images>/*"),
        "ImagesPolicy shows a distribution <images>/*",
    ),
    (
        rules.a_cdn_reads_what_is_published,
        "cdn",
        put(f"{CDN}/Origins/1/DomainName", "private-bucket.s3.eu-central-1.amazonaws.com"),
        "Distribution has the origin private-bucket, which does not let it in",
    ),
    (
        rules.a_cdn_reads_what_is_published,
        "storage",
        put(
            "PrivatePolicy/Properties/PolicyDocument/Statement/0",
            {
                "Principal": {"Service": "cloudfront.amazonaws.com"},
                "Action": "s3:GetObject",
                "Resource": "<Private.Arn>/images/*",
            },
        ),
        "PrivatePolicy shows a distribution <Private.Arn>/images/*",
    ),
    (
        rules.only_the_desk_deletes_what_is_private,
        "compute",
        grow(f"{CONVERT}/5/Action", "s3:DeleteObject"),
        "ConvertPolicy may delete pathology/a/root.json",
    ),
    (
        rules.only_the_desk_deletes_what_is_private,
        "compute",
        grow(f"{CONVERT}/6/Resource", "arn:aws:s3:::private-bucket/pathology/a/private/*.json"),
        "ConvertPolicy may delete pathology/a/private/*.json",
    ),
    (
        rules.only_the_desk_deletes_what_is_private,
        "ingest",
        put(
            "ScanRole/Properties/Policies/0/PolicyDocument/Statement/4/Resource",
            "arn:aws:s3:::private-bucket/pathology/a/*",
        ),
        "ScanRole may delete pathology/a/*",
    ),
    (
        rules.policies_open_nothing_to_everybody,
        "cdn",
        put("ImagesPolicy/Properties/PolicyDocument/Statement/1/Principal", "*"),
        "ImagesPolicy allows s3:GetObject to everybody",
    ),
    (
        rules.policies_open_nothing_to_everybody,
        "ingest",
        put("QueuesPolicy/Properties/PolicyDocument/Statement/0/Principal", {"AWS": "*"}),
        "QueuesPolicy allows sqs:SendMessage to everybody",
    ),
    (
        rules.buckets_and_queues_want_tls,
        "storage",
        drop("SlidesPolicy"),
        "Slides can be reached without TLS",
    ),
    (
        rules.buckets_and_queues_want_tls,
        "storage",
        drop("PrivatePolicy"),
        "Private can be reached without TLS",
    ),
    (
        rules.buckets_and_queues_want_tls,
        "ingest",
        put("QueuesPolicy/Properties/Queues", ["<Slides>"]),
        "Failures can be reached without TLS",
    ),
    (
        rules.wildcards_are_explained,
        "compute",
        put(f"{CONVERT}/0/Action", "s3:*"),
        "ConvertPolicy allows s3:*",
    ),
    (
        rules.wildcards_are_explained,
        "compute",
        put(f"{CONVERT}/0/Resource", "*"),
        "ConvertPolicy allows s3:GetObject on everything",
    ),
    (
        rules.wildcards_are_explained,
        "compute",
        put(f"{CONVERT}/0/NotResource", ["x"]),
        "ConvertPolicy allows what it does not name",
    ),
    (
        rules.wildcards_are_explained,
        "ingest",
        put("ScanRole/Properties/Policies/0/PolicyDocument/Statement/6/Action", "ec2:RunInstances"),
        "ScanRole allows ec2:RunInstances on everything",
    ),
    (
        rules.objects_are_named_by_bucket,
        "compute",
        put(f"{CONVERT}/0/Resource", "arn:aws:s3:::*"),
        "ConvertPolicy names no bucket: arn:aws:s3:::*",
    ),
    (
        rules.what_is_kept,
        "storage",
        drop("Slides/DeletionPolicy"),
        "Slides has no DeletionPolicy Retain",
    ),
    (
        rules.what_is_kept,
        "storage",
        put("Images/UpdateReplacePolicy", "Delete"),
        "Images has no UpdateReplacePolicy Retain",
    ),
    (
        rules.what_is_kept,
        "storage",
        drop("Private/DeletionPolicy"),
        "Private has no DeletionPolicy Retain",
    ),
    (
        rules.what_is_kept,
        "compute",
        drop("Files/DeletionPolicy"),
        "Files has no DeletionPolicy Retain",
    ),
    (
        rules.queues_have_dead_letters,
        "ingest",
        drop("Slides/Properties/RedrivePolicy"),
        "Slides has no dead letters",
    ),
    (
        rules.queues_have_dead_letters,
        "ingest",
        drop("SlideRule/Properties/Targets/0/DeadLetterConfig"),
        "SlideRule has a target without dead letters",
    ),
    (
        rules.queues_have_dead_letters,
        "ingest",
        drop("AuditRule/Properties/Targets/0/DeadLetterConfig"),
        "AuditRule has a target without dead letters",
    ),
    (
        rules.queues_have_dead_letters,
        "ingest",
        drop("Scanner/Properties/DeadLetterConfig"),
        "Scanner has no dead letters",
    ),
    (
        rules.queues_have_dead_letters,
        "ingest",
        put("IngestSource/Properties/EventSourceArn", "<Failures.Arn>"),
        "Ingest takes from the dead letters",
    ),
    (
        rules.functions_within_limits,
        "ingest",
        put("Ingest/Properties/MemorySize", 10241),
        "Ingest has a memory of 10241 MB",
    ),
    (
        rules.functions_within_limits,
        "ingest",
        put("Scanner/Properties/MemorySize", 127),
        "Scanner has a memory of 127 MB",
    ),
    (
        rules.functions_within_limits,
        "ingest",
        put("Ingest/Properties/Timeout", 901),
        "Ingest has a timeout of 901 s",
    ),
    (
        rules.functions_within_limits,
        "ingest",
        put("Ingest/Properties/EphemeralStorage/Size", 10241),
        "Ingest has 10241 MB of /tmp",
    ),
    (
        rules.queues_wait_for_their_function,
        "ingest",
        put("Slides/Properties/VisibilityTimeout", 5399),
        "IngestSource has a visibility timeout of 5399 s",
    ),
    (
        rules.queues_wait_for_their_function,
        "ingest",
        drop("IngestSource/Properties/FunctionResponseTypes"),
        "IngestSource does not take single failures",
    ),
    (
        rules.jobs_within_limits,
        "compute",
        put(f"{JOB}/RetryStrategy/Attempts", 11),
        "JobDefinition has 11 attempts",
    ),
    (
        rules.jobs_within_limits,
        "compute",
        put(
            f"{JOB}/RetryStrategy/EvaluateOnExit",
            [{"OnExitCode": str(code), "Action": "EXIT"} for code in (1, 2, 65, 66, 67, 68)],
        ),
        "JobDefinition has 6 rules for exit codes",
    ),
    (
        rules.jobs_within_limits,
        "compute",
        drop(f"{JOB}/RetryStrategy/EvaluateOnExit/2"),
        "JobDefinition does not end at exit codes 1, 2 and 65 only",
    ),
    (
        rules.jobs_within_limits,
        "compute",
        grow(f"{JOB}/RetryStrategy/EvaluateOnExit", {"OnExitCode": "75", "Action": "EXIT"}),
        "JobDefinition does not end at exit codes 1, 2 and 65 only",
    ),
    (
        rules.jobs_within_limits,
        "compute",
        put(f"{JOB}/ContainerProperties/ResourceRequirements/1/Value", "2048"),
        "JobDefinition has 2 vCPUs with 2048 MiB",
    ),
    (
        rules.jobs_within_limits,
        "compute",
        put(f"{JOB}/ContainerProperties/ResourceRequirements/0/Value", "3"),
        "JobDefinition has 3 vCPUs with 4096 MiB",
    ),
    (
        rules.jobs_within_limits,
        "compute",
        put(f"{JOB}/ContainerProperties/EphemeralStorage/SizeInGiB", 201),
        "JobDefinition has 201 GiB of disk",
    ),
    (
        rules.jobs_within_limits,
        "compute",
        put(f"{JOB}/ContainerProperties/EphemeralStorage/SizeInGiB", 20),
        "JobDefinition has 20 GiB of disk",
    ),
    (
        rules.logs_end,
        "compute",
        drop("JobLog/Properties/RetentionInDays"),
        "JobLog keeps logs for ever",
    ),
    (
        rules.nothing_has_a_name,
        "storage",
        put("Slides/Properties/BucketName", "slides"),
        "Slides has the fixed BucketName slides",
    ),
    (
        rules.nothing_has_a_name,
        "cdn",
        put("Paths/Properties/Name", "paths"),
        "Paths has the fixed Name paths",
    ),
    (
        rules.nothing_lets_the_internet_in,
        "compute",
        put("JobsSecurityGroup/Properties/SecurityGroupIngress", [{"CidrIp": "0.0.0.0/0"}]),
        "JobsSecurityGroup lets in {'CidrIp': '0.0.0.0/0'}",
    ),
    (
        rules.nothing_lets_the_internet_in,
        "compute",
        drop("FilesSecurityGroup/Properties/SecurityGroupEgress"),
        "FilesSecurityGroup lets everything out",
    ),
    (
        rules.roles_are_one_services,
        "compute",
        put("JobRole/Properties/AssumeRolePolicyDocument/Statement/0/Principal", {"AWS": "1"}),
        "JobRole can be taken by {'AWS': '1'}",
    ),
    (
        rules.headers_are_those_of_serve,
        "cdn",
        put(f"{SECURITY}/ContentSecurityPolicy/ContentSecurityPolicy", "default-src 'self'"),
        "Headers has another Content-Security-Policy than vsv_pyramid/web/app.py",
    ),
    (
        rules.headers_are_those_of_serve,
        "cdn",
        put(f"{SHARING}/AccessControlAllowOrigins/Items", ["*"]),
        "Headers lets pages of any site, or with cookies, read slides",
    ),
    (
        rules.headers_are_those_of_serve,
        "cdn",
        drop(f"{SECURITY}/ReferrerPolicy"),
        "Headers has no ReferrerPolicy",
    ),
    (
        rules.everything_is_cached_by_version,
        "cdn",
        grow(
            f"{CACHED}/ParametersInCacheKeyAndForwardedToOrigin/QueryStringsConfig/QueryStrings",
            "x",
        ),
        "CachePolicy has not v, and nothing else of the query, in its key",
    ),
    (
        rules.everything_is_cached_by_version,
        "cdn",
        put(f"{CACHED}/MinTTL", 1),
        "CachePolicy keeps what is not to be kept, or not what is",
    ),
    (
        rules.images_want_signatures,
        "cdn",
        drop(f"{CDN}/CacheBehaviors/0/TrustedKeyGroups"),
        "Distribution gives images to everybody",
    ),
    (
        rules.images_want_signatures,
        "cdn",
        put(f"{CDN}/CacheBehaviors/0/TrustedKeyGroups", ["another"]),
        "Distribution takes other signatures",
    ),
    (
        rules.images_want_signatures,
        "cdn",
        put(f"{CDN}/DefaultCacheBehavior/TargetOriginId", "bucket"),
        "Distribution can be asked for images by another path",
    ),
    (
        rules.images_want_signatures,
        "cdn",
        grow(f"{CDN}/CacheBehaviors", {"PathPattern": "/i*"}),
        "Distribution has a path that is not known",
    ),
    (
        rules.jobs_get_what_the_worker_reads,
        "compute",
        drop(f"{JOB}/ContainerProperties/Environment/3"),
        "JobDefinition has the environment ['VSV_PYRAMID_DESTINATION', 'VSV_PYRAMID_IDS', "
        "'VSV_PYRAMID_LAYOUT', 'VSV_PYRAMID_OPTIONS', 'VSV_PYRAMID_PRIVATE', "
        "'VSV_PYRAMID_SLIDES', 'VSV_PYRAMID_SLIDE_ID_PATTERN', 'VSV_PYRAMID_TIME_ZONE']",
    ),
    (
        rules.jobs_get_what_the_worker_reads,
        "compute",
        put(f"{JOB}/ContainerProperties/Command", ["place"]),
        "JobDefinition has the command ['place']",
    ),
    (
        rules.functions_get_what_the_handlers_read,
        "ingest",
        put("Scanner/Properties/Environment/Variables", {"VSV_PYRAMID_QUEUE": "queue"}),
        "Scanner has the environment ['VSV_PYRAMID_QUEUE']",
    ),
    (
        rules.functions_get_what_the_handlers_read,
        "ingest",
        put("Ingest/Properties/ImageConfig/Command", ["ingest"]),
        "Ingest has the command ['ingest']",
    ),
    (
        rules.every_slide_is_taken,
        "ingest",
        drop("SlideRule/Properties/EventPattern/detail/object/key/0"),
        "SlideRule is wrong about .svs",
    ),
    (
        rules.every_slide_is_taken,
        "ingest",
        grow(
            "SlideRule/Properties/EventPattern/detail/object/key",
            {"suffix": {"equals-ignore-case": ".mrxs"}},
        ),
        "SlideRule is wrong about .mrxs",
    ),
]


@pytest.mark.parametrize(("rule", "name", "defect", "sentence"), DEFECTS)
def test_rules_find_what_is_wrong(rule: Rule, name: str, defect: Defect, sentence: str) -> None:
    sound = cloudformation.resources(cloudformation.load(name), EVERYTHING[name])
    spoiled = copy.deepcopy(sound)
    defect(spoiled)
    assert next(rule(spoiled)) == sentence


def test_each_rule_has_a_defect() -> None:
    assert {defect[0] for defect in DEFECTS} == set(RULES)
