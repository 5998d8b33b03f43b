"""The templates as stacks, on stand-ins of AWS: what is made there, asked of the services."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support import aws_stand_ins, cloudformation, stacks
from tests.support.aws_stand_ins import StandIn
from tests.support.cloudformation import EVERYTHING, REQUIRED
from tests.support.stacks import (
    POINT,
    Distribution,
    Made,
    computing,
    distributed,
    function,
    job_definition,
    received,
)
from vsv_pyramid.web import signing
from vsv_pyramid.web.app import CONTENT_SECURITY_POLICY

pytestmark = pytest.mark.aws


@pytest.fixture(scope="module")
def moto() -> Iterator[StandIn]:
    with aws_stand_ins.moto() as started:
        yield started


@pytest.fixture(scope="module")
def ministack() -> Iterator[StandIn]:
    with aws_stand_ins.ministack() as started:
        yield started


# Batch, on moto


def test_batch_by_default(moto: StandIn) -> None:
    made = computing(moto, "plain", REQUIRED["compute"])
    ec2, batch = moto.client("ec2"), moto.client("batch")

    (vpc,) = ec2.describe_vpcs(VpcIds=[made["Vpc"]])["Vpcs"]
    assert vpc["CidrBlock"] == "10.71.0.0/16"
    subnets = [made["SubnetA"], made["SubnetB"]]
    zones = {one["AvailabilityZone"] for one in ec2.describe_subnets(SubnetIds=subnets)["Subnets"]}
    assert len(zones) == 2
    (table,) = ec2.describe_route_tables(RouteTableIds=[made["Routes"]])["RouteTables"]
    ways = {one.get("DestinationCidrBlock", "S3"): one["GatewayId"] for one in table["Routes"]}
    assert ways["0.0.0.0/0"] == made["Gateway"]
    assert ways["S3"] == made["S3Endpoint"]
    (group,) = ec2.describe_security_groups(GroupIds=[made["JobsSecurityGroup"]])["SecurityGroups"]
    assert group["VpcId"] == made["Vpc"]
    assert group["IpPermissions"] == []

    found = batch.describe_compute_environments(
        computeEnvironments=[made["Spot"], made["OnDemand"]]
    )["computeEnvironments"]
    assert [one["type"] for one in found] == ["MANAGED", "MANAGED"]
    common = {
        "maxvCpus": 64,
        "subnets": subnets,
        "securityGroupIds": [made["JobsSecurityGroup"]],
    }
    assert {one["computeEnvironmentArn"]: one["computeResources"] for one in found} == {
        made["Spot"]: {"type": "FARGATE_SPOT", **common},
        made["OnDemand"]: {"type": "FARGATE", **common},
    }
    (queue,) = batch.describe_job_queues(jobQueues=[made["Queue"]])["jobQueues"]
    assert queue["state"] == "ENABLED"
    order = {one["order"]: one["computeEnvironment"] for one in queue["computeEnvironmentOrder"]}
    assert order == {1: made["Spot"], 2: made["OnDemand"]}

    definition = job_definition(moto, made)
    assert definition["retryStrategy"] == {
        "attempts": 5,
        "evaluateOnExit": [{"onExitCode": code, "action": "exit"} for code in ("1", "2", "65")],
    }
    container = definition["containerProperties"]
    named = moto.client("ecr").describe_repositories(repositoryNames=[made["Repository"]])
    (repository,) = named["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert container["image"] == f"{repository['repositoryUri']}:1.0"
    assert container["command"] == ["Ref::place"]
    # The lists are empty parameters, as moto has them.
    assert container["environment"] == [
        {"name": "VSV_PYRAMID_DESTINATION", "value": "s3://images-bucket"},
        {"name": "VSV_PYRAMID_PRIVATE", "value": "s3://private-bucket"},
        {"name": "VSV_PYRAMID_OPTIONS", "value": []},
        {"name": "VSV_PYRAMID_DETAILS", "value": "none"},
        {"name": "VSV_PYRAMID_LAYOUT", "value": []},
        {"name": "VSV_PYRAMID_IDS", "value": "strict"},
        {"name": "VSV_PYRAMID_SLIDE_ID_PATTERN", "value": []},
        {"name": "VSV_PYRAMID_TIME_ZONE", "value": []},
        {"name": "VSV_PYRAMID_SLIDES", "value": "s3://slides-bucket"},
    ]
    assert container["resourceRequirements"] == [
        {"type": "VCPU", "value": "2"},
        {"type": "MEMORY", "value": "4096"},
    ]
    assert container["ephemeralStorage"] == {"sizeInGiB": 50}
    assert container["networkConfiguration"] == {"assignPublicIp": "ENABLED"}
    assert container["jobRoleArn"].endswith(f":role/{made['JobRole']}")
    assert container["executionRoleArn"].endswith(f":role/{made['ExecutionRole']}")
    assert container["mountPoints"] == container["volumes"] == []
    logs = moto.client("logs").describe_log_groups(logGroupNamePrefix=made["JobLog"])
    assert [one["retentionInDays"] for one in logs["logGroups"]] == [90]
    assert container["logConfiguration"]["options"]["awslogs-group"] == made["JobLog"]
    assert moto.outputs("plain") == {
        "RepositoryUri": repository["repositoryUri"],
        "QueueArn": made["Queue"],
        "JobDefinitionArn": made["JobDefinition"],
        "ConvertPolicyArn": made["ConvertPolicy"],
        "DeskPolicyArn": made["DeskPolicy"],
        "SubnetIds": ",".join(subnets),
        "JobLogGroup": made["JobLog"],
        "JobsSecurityGroupId": made["JobsSecurityGroup"],
    }


def test_batch_with_a_file_system_and_prefixes(moto: StandIn) -> None:
    given = EVERYTHING["compute"]
    made = computing(moto, "files", given)
    ec2, efs, iam = moto.client("ec2"), moto.client("efs"), moto.client("iam")

    (files,) = efs.describe_file_systems(FileSystemId=made["Files"])["FileSystems"]
    assert files["Encrypted"] is True
    targets = efs.describe_mount_targets(FileSystemId=made["Files"])["MountTargets"]
    assert {one["SubnetId"] for one in targets} == {made["SubnetA"], made["SubnetB"]}
    for target in targets:
        groups = efs.describe_mount_target_security_groups(MountTargetId=target["MountTargetId"])
        assert groups["SecurityGroups"] == [made["FilesSecurityGroup"]]
    (point,) = efs.describe_access_points(FileSystemId=made["Files"])["AccessPoints"]
    assert point["RootDirectory"]["Path"] == "/slides"
    assert point["PosixUser"] == {"Uid": 1000, "Gid": 1000}
    for name, port in (("FilesSecurityGroup", 2049), ("EndpointsSecurityGroup", 443)):
        (group,) = ec2.describe_security_groups(GroupIds=[made[name]])["SecurityGroups"]
        (rule,) = group["IpPermissions"]
        assert (rule["FromPort"], rule["ToPort"], rule["IpRanges"]) == (port, port, [])
        (source,) = rule["UserIdGroupPairs"]
        assert source["GroupId"] == made["JobsSecurityGroup"]
    endpoints = ec2.describe_vpc_endpoints(
        VpcEndpointIds=[made[name] for name in ("S3Endpoint", "BatchEndpoint", "SqsEndpoint")]
    )["VpcEndpoints"]
    assert {one["ServiceName"].rpartition(".")[2]: one["VpcEndpointType"] for one in endpoints} == {
        "s3": "Gateway",
        "batch": "Interface",
        "sqs": "Interface",
    }

    definition = job_definition(moto, made)
    container = definition["containerProperties"]
    (mount,) = container["mountPoints"]
    assert (mount["containerPath"], mount["readOnly"]) == ("/mnt/slides", True)
    (volume,) = container["volumes"]
    efs_volume = volume["efsVolumeConfiguration"]
    assert efs_volume["fileSystemId"] == made["Files"]
    assert efs_volume["transitEncryption"] == "ENABLED"
    assert efs_volume["authorizationConfig"] == {"accessPointId": POINT, "iam": "ENABLED"}
    assert container["environment"] == [
        {"name": "VSV_PYRAMID_DESTINATION", "value": "s3://images-bucket/pathology/a"},
        {"name": "VSV_PYRAMID_PRIVATE", "value": "s3://private-bucket/pathology/a"},
        {"name": "VSV_PYRAMID_OPTIONS", "value": "--quality 85"},
        {"name": "VSV_PYRAMID_DETAILS", "value": "lab"},
        {"name": "VSV_PYRAMID_LAYOUT", "value": "packed"},
        {"name": "VSV_PYRAMID_IDS", "value": "opaque"},
        {"name": "VSV_PYRAMID_SLIDE_ID_PATTERN", "value": given["SlideIdPattern"]},
        {"name": "VSV_PYRAMID_TIME_ZONE", "value": "Europe/Berlin"},
        {"name": "VSV_PYRAMID_SLIDES", "value": "s3://slides-bucket/scans /mnt/slides"},
    ]

    policy = iam.get_policy_version(PolicyArn=made["ConvertPolicy"], VersionId="v1")
    statements = {one["Sid"]: one for one in policy["PolicyVersion"]["Document"]["Statement"]}
    assert statements["ReadSlides"]["Resource"] == "arn:aws:s3:::slides-bucket/scans/*"
    assert statements["PublishPyramids"]["Resource"] == [
        "arn:aws:s3:::images-bucket/pathology/a/images/*",
        "arn:aws:s3:::images-bucket/pathology/a/.leases/*",
    ]
    assert statements["RememberWhatIsPrivate"]["Resource"] == [
        "arn:aws:s3:::private-bucket/pathology/a/root.json",
        "arn:aws:s3:::private-bucket/pathology/a/private/*",
    ]
    assert statements["DecryptSlides"]["Resource"] == given["SlidesKeyArn"]
    assert statements["EncryptWhatIsPrivate"]["Resource"] == given["PrivateKeyArn"]
    attached = iam.list_entities_for_policy(PolicyArn=made["DeskPolicy"])
    assert not attached["PolicyRoles"] + attached["PolicyUsers"] + attached["PolicyGroups"]
    read = iam.get_role_policy(RoleName=made["JobRole"], PolicyName="ReadFiles")
    # Moto answers with Python's text of it.
    assert "'elasticfilesystem:ClientMount'" in read["PolicyDocument"]
    assert repr(files["FileSystemArn"]) in read["PolicyDocument"]


# Buckets, on ministack


@pytest.fixture(scope="module")
def buckets(ministack: StandIn) -> dict[str, str]:
    return filled(ministack, "storage")


# Neither published nor to be served, wherever it comes from: former releases kept some of it here.
HIDDEN = (
    ".leases/images/170782",
    ".manifests/1",
    ".private/images/170782/label.jpeg",
    "manifests/1.txt",
    "private/images/170782/label.jpeg",
    "root.json",
    "watch/1.json",
)


def filled(ministack: StandIn, name: str) -> dict[str, str]:
    """The names of a stack's buckets, with a slide's objects in that of images."""
    names = stacks.stored(ministack, name)
    s3 = ministack.client("s3")
    for key, cache_control in (
        ("images/170782/DeepZoom.dzi", "no-cache"),
        ("images/170782/DeepZoom_files/0/0_0.jpeg", "public, max-age=31536000, immutable"),
        ("images/index.json", "no-cache"),
        ("viewer/index.html", "no-cache"),
        ("viewer/gallery/index.html", "no-cache"),
        *((key, "") for key in HIDDEN),
    ):
        body = key.encode()
        s3.put_object(Bucket=names["ImagesBucket"], Key=key, Body=body, CacheControl=cache_control)
    return names


# What ministack's CloudFormation leaves out of a bucket, lifecycle and access logs, is held in
# test_templates.py.
def test_buckets(ministack: StandIn, buckets: dict[str, str]) -> None:
    s3 = ministack.client("s3")
    assert buckets.keys() == {"SlidesBucket", "ImagesBucket", "PrivateBucket", "LogsBucket"}
    for bucket in buckets.values():
        block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        assert len(block) == 4
        assert all(block.values())
        encryption = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
        (rule,) = encryption["Rules"]
        assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    versioning = {
        name: s3.get_bucket_versioning(Bucket=bucket).get("Status")
        for name, bucket in buckets.items()
    }
    assert versioning == {
        "SlidesBucket": "Enabled",
        "ImagesBucket": None,
        "PrivateBucket": "Enabled",
        "LogsBucket": None,
    }
    told = s3.get_bucket_notification_configuration(Bucket=buckets["SlidesBucket"])
    assert "EventBridgeConfiguration" in told
    for name in ("SlidesBucket", "PrivateBucket", "LogsBucket"):
        policy = json.loads(s3.get_bucket_policy(Bucket=buckets[name])["Policy"])
        assert policy["Statement"][0]["Effect"] == "Deny"
        assert policy["Statement"][0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_buckets_outlive_the_stack(ministack: StandIn) -> None:
    names = stacks.stored(ministack, "removed")
    s3 = ministack.client("s3")
    s3.put_object(Bucket=names["SlidesBucket"], Key="170782.svs", Body=b"slide")
    cloudformation_client = ministack.client("cloudformation")
    cloudformation_client.delete_stack(StackName="removed")
    stack_is_gone = cloudformation_client.get_waiter("stack_delete_complete")
    stack_is_gone.wait(StackName="removed", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    for bucket in names.values():
        s3.head_bucket(Bucket=bucket)
    assert s3.get_object(Bucket=names["SlidesBucket"], Key="170782.svs")["Body"].read() == b"slide"


def test_buckets_that_are_there_are_taken_as_they_are(ministack: StandIn) -> None:
    given = {
        "SlidesBucket": "our-slides",
        "ImagesBucket": "our-images",
        "PrivateBucket": "our-private",
    }
    made = ministack.create("given", cloudformation.load("storage"), given)
    assert made.keys() == {"Logs", "LogsPolicy"}
    outputs = ministack.outputs("given")
    assert outputs.items() >= given.items()


# The distribution, on ministack, which runs the function, too


@pytest.fixture(scope="module")
def public(ministack: StandIn, buckets: dict[str, str]) -> Distribution:
    return distributed(ministack, buckets, "public")


def test_the_distribution(public: Distribution, buckets: dict[str, str]) -> None:
    cloudfront = public.ministack.client("cloudfront")
    made = public.made
    found = cloudfront.get_distribution_config(Id=made["Distribution"])["DistributionConfig"]
    assert (found["HttpVersion"], found["Enabled"]) == ("http2and3", True)
    assert found["Logging"]["Bucket"].startswith(buckets["LogsBucket"] + ".s3.")
    assert {
        one["OriginPath"]: one["OriginAccessControlId"] for one in found["Origins"]["Items"]
    } == {
        "": made["AccessControl"],
        "/viewer": made["AccessControl"],
    }
    default = found["DefaultCacheBehavior"]
    behaviours = {one["PathPattern"]: one for one in found["CacheBehaviors"]["Items"]}
    assert behaviours.keys() == {"/images/*", "/viewer/*"}
    for one in (default, *behaviours.values()):
        assert one["ViewerProtocolPolicy"] == "redirect-to-https"
        assert one["CachePolicyId"] == made["CachePolicy"]
        assert one["ResponseHeadersPolicyId"] == made["Headers"]
        assert one["FunctionAssociations"]["Quantity"] == 1
    assert found["CustomErrorResponses"]["Items"] == [{"ErrorCode": 404, "ErrorCachingMinTTL": 5}]

    control = cloudfront.get_origin_access_control(Id=made["AccessControl"])
    config = control["OriginAccessControl"]["OriginAccessControlConfig"]
    assert (config["SigningBehavior"], config["SigningProtocol"]) == ("always", "sigv4")
    cached = cloudfront.get_cache_policy(Id=made["CachePolicy"])["CachePolicy"]["CachePolicyConfig"]
    assert (cached["MinTTL"], cached["MaxTTL"]) == (0, 31536000)
    key = cached["ParametersInCacheKeyAndForwardedToOrigin"]
    assert key["QueryStringsConfig"]["QueryStrings"]["Items"] == ["v"]
    assert (
        key["HeadersConfig"]["HeaderBehavior"] == key["CookiesConfig"]["CookieBehavior"] == "none"
    )
    headers = cloudfront.get_response_headers_policy(Id=made["Headers"])["ResponseHeadersPolicy"]
    security = headers["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]
    assert security["ContentSecurityPolicy"]["ContentSecurityPolicy"] == CONTENT_SECURITY_POLICY


def test_what_the_distribution_serves(public: Distribution) -> None:
    descriptor = public.get("/images/170782/DeepZoom.dzi?v=1")
    assert (descriptor.status, descriptor.body) == (200, b"images/170782/DeepZoom.dzi")
    assert descriptor.headers["cache-control"] == "no-cache"
    assert descriptor.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert descriptor.headers["x-content-type-options"] == "nosniff"
    assert descriptor.headers["strict-transport-security"].startswith("max-age=31536000")
    assert public.get("/images/170782.dzi").body == descriptor.body
    tile = public.get("/images/170782_files/0/0_0.jpeg")
    assert (tile.status, tile.body) == (200, b"images/170782/DeepZoom_files/0/0_0.jpeg")
    assert tile.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert public.get("/viewer/?id=170782").body == b"viewer/index.html"
    assert public.get("/viewer/gallery/").body == b"viewer/gallery/index.html"


def test_the_distribution_leads_to_the_gallery_and_to_https(public: Distribution) -> None:
    moved = public.get("/?id=170782")
    assert (moved.status, moved.headers["location"]) == (307, "/viewer/gallery/?id=170782")
    moved = public.get("/viewer/", scheme="http")
    assert (moved.status, moved.headers["location"]) == (301, f"https://{public.host}/viewer/")


# On S3, what is not there is 404 because of s3:ListBucket; ministack always says 403.
@pytest.mark.parametrize(
    "path",
    [
        *(f"/{key}" for key in HIDDEN),
        "/images/nothing/DeepZoom.dzi",
        "/index.html",
        "/gallery/index.html",
        "/IMAGES/index.json",
    ],
)
def test_what_the_distribution_does_not_serve(public: Distribution, path: str) -> None:
    assert public.get(path).status in (403, 404)


def test_the_bucket_itself_keeps_what_is_private(public: Distribution) -> None:
    """Even where the function let the path pass."""
    s3 = public.ministack.client("s3")
    (bucket,) = {
        one["DomainName"].partition(".")[0]
        for one in public.ministack.client("cloudfront").get_distribution_config(
            Id=public.made["Distribution"]
        )["DistributionConfig"]["Origins"]["Items"]
    }
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    readable = [one["Resource"] for one in policy["Statement"] if one["Action"] == "s3:GetObject"]
    assert readable == [[f"arn:aws:s3:::{bucket}/images/*", f"arn:aws:s3:::{bucket}/viewer/*"]]


# Ministack does not check signatures: that nothing under images/ is to be had without one is up to
# the distribution's configuration, and how they are checked is in tests/web/test_signing.py.
def test_a_private_distribution_wants_signatures_for_images_only(ministack: StandIn) -> None:
    buckets = filled(ministack, "private-storage")  # whose policy names one distribution
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    cloudfront = ministack.client("cloudfront")
    config = {"CallerReference": "1", "Name": "key", "EncodedKey": pem.decode()}
    key_id = cloudfront.create_public_key(PublicKeyConfig=config)["PublicKey"]["Id"]
    made = cloudfront.create_key_group(KeyGroupConfig={"Name": "group", "Items": [key_id]})
    group = made["KeyGroup"]["Id"]
    site = distributed(ministack, buckets, "private", KeyGroupId=group)
    found = cloudfront.get_distribution_config(Id=site.made["Distribution"])["DistributionConfig"]
    behaviours = {one["PathPattern"]: one for one in found["CacheBehaviors"]["Items"]}
    assert behaviours["/images/*"]["TrustedKeyGroups"]["Items"] == [group]
    for one in (found["DefaultCacheBehavior"], behaviours["/viewer/*"]):
        assert not one.get("TrustedKeyGroups", {}).get("Enabled")
    # A link's query goes through, and the page is there with it.
    expires = datetime.now(timezone.utc) + timedelta(hours=1)
    link = urlsplit(signing.link("170782", f"https://{site.host}", key_id, key, expires))
    assert site.get(f"{link.path}?{link.query}").body == b"viewer/index.html"
    moved = site.get(f"/viewer?{link.query}")
    assert moved.headers["location"] == f"/viewer/?{link.query}"
    # No other way to write a path leads past the behaviour that wants a signature.
    for path in ("/%69mages/170782/DeepZoom.dzi", "//images/170782/DeepZoom.dzi"):
        assert site.get(path).status in (403, 404)


# Slides that come, on ministack


@pytest.fixture(scope="module")
def ingesting(ministack: StandIn, buckets: dict[str, str]) -> Made:
    given = EVERYTHING["ingest"] | {"SlidesBucket": buckets["SlidesBucket"]}
    return stacks.ingesting(ministack, "ingest", given)


def test_queues(ministack: StandIn, ingesting: Made) -> None:
    sqs = ministack.client("sqs")
    slides, failures = (
        sqs.get_queue_attributes(QueueUrl=ingesting[name], AttributeNames=["All"])["Attributes"]
        for name in ("Slides", "Failures")
    )
    assert slides["VisibilityTimeout"] == "5400"
    assert json.loads(slides["RedrivePolicy"]) == {
        "deadLetterTargetArn": failures["QueueArn"],
        "maxReceiveCount": 5,
    }
    assert "RedrivePolicy" not in failures


def test_functions(ministack: StandIn, ingesting: Made, buckets: dict[str, str]) -> None:
    client = ministack.client("lambda")
    for name, handler in (("Ingest", "ingest"), ("Scanner", "scan")):
        found = function(ministack, ingesting, name)
        assert found["PackageType"] == "Image"
        assert (found["MemorySize"], found["Timeout"]) == (3008, 900)
        config = found["ImageConfigResponse"]["ImageConfig"]
        assert config["EntryPoint"] == ["/opt/vsv-pyramid/bin/python", "-m", "awslambdaric"]
        assert config["Command"] == [f"lambda_handler.{handler}"]
        variables = found["Environment"]["Variables"]
        assert variables["VSV_PYRAMID_DESTINATION"] == "s3://images-bucket/pathology/a"
        assert variables["VSV_PYRAMID_PRIVATE"] == "s3://private-bucket/pathology/a"
        assert variables["VSV_PYRAMID_FAILURES"] == ingesting["Failures"]
        assert variables["VSV_PYRAMID_DETAILS"] == "lab"
        pattern = EVERYTHING["ingest"]["SlideIdPattern"]
        assert variables["VSV_PYRAMID_SLIDE_ID_PATTERN"] == pattern
        slides = f"s3://{buckets['SlidesBucket']}/scans" if name == "Ingest" else "/mnt/slides"
        assert variables["VSV_PYRAMID_SLIDES"] == slides
        callers = json.loads(client.get_policy(FunctionName=ingesting[name])["Policy"])["Statement"]
        assert {one["Principal"]["Service"] for one in callers} == {"events.amazonaws.com"}
    source = client.get_event_source_mapping(UUID=ingesting["IngestSource"])
    assert source["BatchSize"] == 1
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    reporter = function(ministack, ingesting, "Reporter")
    assert reporter["ImageConfigResponse"]["ImageConfig"]["Command"] == ["reporter.report"]
    assert reporter["Environment"]["Variables"]["VSV_PYRAMID_TOPIC"] == ingesting["Topic"]
    source = client.get_event_source_mapping(UUID=ingesting["ReportSource"])
    assert source["BatchSize"] == 100


def test_rules(ministack: StandIn, ingesting: Made) -> None:
    events, sqs = ministack.client("events"), ministack.client("sqs")
    arns = {
        name: sqs.get_queue_attributes(QueueUrl=ingesting[name], AttributeNames=["QueueArn"])[
            "Attributes"
        ]["QueueArn"]
        for name in ("Slides", "Failures")
    }
    functions = {
        name: function(ministack, ingesting, name)["FunctionArn"] for name in ("Ingest", "Scanner")
    }
    targets = {}
    for rule in ("SlideRule", "AuditRule", "ScanRule", "DataSyncRule", "JobFailedRule"):
        name = ingesting[rule].rpartition("/")[2]
        (targets[rule],) = events.list_targets_by_rule(Rule=name)["Targets"]
    assert {rule: target["Arn"] for rule, target in targets.items()} == {
        "SlideRule": arns["Slides"],
        "AuditRule": functions["Ingest"],
        "ScanRule": functions["Scanner"],
        "DataSyncRule": functions["Scanner"],
        "JobFailedRule": arns["Failures"],
    }
    assert json.loads(targets["AuditRule"]["Input"]) == {"audit": True}
    name = ingesting["ScanRule"].rpartition("/")[2]
    assert events.describe_rule(Name=name)["ScheduleExpression"] == "rate(5 minutes)"


def test_alarms(ministack: StandIn, ingesting: Made) -> None:
    alarms = {
        "FailuresAlarm": ("AWS/SQS", "ApproximateAgeOfOldestMessage", 1800),
        "SlidesAlarm": ("AWS/SQS", "ApproximateAgeOfOldestMessage", 7200),
        "WaitingAlarm": ("vsv-pyramid", "OldestWaitingHours", 4),
        "ScanWaitingAlarm": ("vsv-pyramid", "OldestWaitingHours", 4),
    }
    found = ministack.client("cloudwatch").describe_alarms(
        AlarmNames=[ingesting[name] for name in alarms]
    )["MetricAlarms"]
    assert {
        one["AlarmName"]: (one["Namespace"], one["MetricName"], one["Threshold"]) for one in found
    } == {ingesting[name]: stated for name, stated in alarms.items()}
    assert all(one["AlarmActions"] == [ingesting["Topic"]] for one in found)
    subscriptions = ministack.client("sns").list_subscriptions_by_topic(
        TopicArn=ingesting["Topic"]
    )["Subscriptions"]
    assert [(one["Protocol"], one["Endpoint"]) for one in subscriptions] == [
        ("email", "alarm@example.org")
    ]


def test_a_slide_comes_into_the_queue(
    ministack: StandIn, ingesting: Made, buckets: dict[str, str]
) -> None:
    slides = ["scans/a.svs", "scans/B.SVS", "c d.Svs", "e.tif", "f.TIFF", "g.ndpi", "h.scn"]
    slides += ["i.svslide", "j.bif", "k.czi"]
    others = ("notes.txt", "svs", "a.svs.txt", "scans/a.svs/", "l.mrxs", "m.vms", "n.vmu", "o.jpeg")
    s3 = ministack.client("s3")
    # The last one tells that nothing else will come.
    for key in (*others, *slides, "last.svs"):
        s3.put_object(Bucket=buckets["SlidesBucket"], Key=key, Body=b"slide")
    found = received(ministack, ingesting["Slides"], len(slides) + 1)
    keys = [event["detail"]["object"]["key"] for event in found]
    assert sorted(keys) == sorted([*slides, "last.svs"])
    for event in found:
        assert (event["source"], event["detail-type"]) == ("aws.s3", "Object Created")
        assert event["detail"]["bucket"]["name"] == buckets["SlidesBucket"]


# Nobody but AWS itself can put events of aws.batch, neither there nor here.
@pytest.mark.parametrize(
    ("rule", "source", "kind", "detail", "matches"),
    [
        ("JobFailedRule", "aws.batch", "Batch Job State Change", {"status": "FAILED"}, True),
        ("JobFailedRule", "aws.batch", "Batch Job State Change", {"status": "SUCCEEDED"}, False),
        (
            "JobFailedRule",
            "aws.batch",
            "Batch Job State Change",
            {"status": "FAILED", "jobQueue": "another"},
            False,
        ),
        (
            "DataSyncRule",
            "aws.datasync",
            "DataSync Task Execution State Change",
            {"State": "SUCCESS"},
            True,
        ),
        (
            "DataSyncRule",
            "aws.datasync",
            "DataSync Task Execution State Change",
            {"State": "LAUNCHING"},
            False,
        ),
    ],
)
def test_what_a_rule_takes(
    ministack: StandIn,
    ingesting: Made,
    rule: str,
    source: str,
    kind: str,
    detail: dict[str, str],
    matches: bool,
) -> None:
    events = ministack.client("events")
    event = {
        "id": "0",
        "account": "123456789012",
        "source": source,
        "time": "2026-01-01T00:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail-type": kind,
        "detail": {"jobQueue": EVERYTHING["ingest"]["QueueArn"]} | detail,
    }
    pattern = events.describe_rule(Name=ingesting[rule].rpartition("/")[2])["EventPattern"]
    answer = events.test_event_pattern(EventPattern=pattern, Event=json.dumps(event))
    assert answer["Result"] is matches


# All together, on ministack


def test_main_nests_the_others(ministack: StandIn) -> None:
    """All but compute.yaml, since ministack knows no Batch."""
    given = EVERYTHING["ingest"]
    computed = {
        "RepositoryUri": given["ImageUri"].partition(":")[0],
        "SubnetIds": given["Subnets"],
        "JobsSecurityGroupId": given["SecurityGroupId"],
        "JobLogGroup": "jobs",
    }
    computed |= {name: value for name, value in given.items() if name.endswith("Arn")}
    computed["DeskPolicyArn"] = "arn:aws:iam::123456789012:policy/desk"
    body = cloudformation.load("main")
    del body["Resources"]["Compute"]
    text = json.dumps(body)
    for name, value in computed.items():
        text = text.replace(f'{{"Fn::GetAtt": ["Compute", "Outputs.{name}"]}}', json.dumps(value))
        text = text.replace(f"${{Compute.Outputs.{name}}}", value)
    assert "Compute" not in text
    body = json.loads(text)
    s3 = ministack.client("s3")
    s3.create_bucket(Bucket="templates")  # as aws cloudformation package has it
    for name in ("storage", "cdn", "ingest", "monitor"):
        known = {"cdn": stacks.without_public_key, "monitor": stacks.monitoring}
        nested = known[name]() if name in known else cloudformation.load(name)
        s3.put_object(Bucket="templates", Key=name, Body=json.dumps(nested))
        stack = body["Resources"][name.capitalize()]["Properties"]
        assert stack["TemplateURL"] == f"{name}.yaml"
        stack["TemplateURL"] = f"{ministack.url}/templates/{name}"
    del body["Outputs"]["KeyId"], body["Outputs"]["SecondKeyId"]

    parameters = {"ImageTag": "2.0", "FileSystem": "new", "ScanSchedule": "rate(10 minutes)"}
    parameters |= {"ConvertOptions": "--quality 90", "KeyGroupId": "group", "Ids": "safe"}
    made = ministack.create("main", body, parameters)
    assert made.keys() == {"Storage", "Cdn", "Ingest", "Monitor"}
    outputs = ministack.outputs("main")
    assert outputs["BaseUrl"].endswith(".cloudfront.net")
    assert outputs["PrivateUrl"] == f"s3://{outputs['PrivateBucket']}"
    assert outputs["PrivateBucket"] != outputs["ImagesBucket"]
    cloudfront = ministack.client("cloudfront")
    found = cloudfront.get_distribution_config(Id=outputs["DistributionId"])["DistributionConfig"]
    origins = {one["DomainName"].partition(".")[0] for one in found["Origins"]["Items"]}
    assert origins == {outputs["ImagesBucket"]}
    resources = ministack.client("cloudformation").describe_stack_resources(
        StackName=made["Ingest"]
    )["StackResources"]
    ids = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in resources}
    client = ministack.client("lambda")
    code = client.get_function(FunctionName=ids["Scanner"])["Code"]
    assert code["ImageUri"] == f"{computed['RepositoryUri']}:2.0"
    ingest = function(ministack, ids, "Ingest")
    assert ingest["Environment"]["Variables"] == {
        "VSV_PYRAMID_SLIDES": f"s3://{outputs['SlidesBucket']}",
        "VSV_PYRAMID_DESTINATION": f"s3://{outputs['ImagesBucket']}",
        "VSV_PYRAMID_PRIVATE": f"s3://{outputs['PrivateBucket']}",
        "VSV_PYRAMID_OPTIONS": "--quality 90",
        "VSV_PYRAMID_DETAILS": "lab",
        "VSV_PYRAMID_LAYOUT": "",
        "VSV_PYRAMID_IDS": "safe",
        "VSV_PYRAMID_SLIDE_ID_PATTERN": "",
        "VSV_PYRAMID_TIME_ZONE": "",
        "VSV_PYRAMID_QUEUE": given["QueueArn"],
        "VSV_PYRAMID_JOB_DEFINITION": given["JobDefinitionArn"],
        "VSV_PYRAMID_FAILURES": outputs["FailuresQueueUrl"],
        "VSV_PYRAMID_MOST_MEGABYTES": "1000",
        "VSV_PYRAMID_MOST_WAITING": "200",
        "VSV_PYRAMID_ARRIVALS": ids["Slides"],
    }
    rule = ids["ScanRule"].rpartition("/")[2]
    schedule = ministack.client("events").describe_rule(Name=rule)["ScheduleExpression"]
    assert schedule == "rate(10 minutes)"
