"""What every template has to keep to, beyond what linters know: a rule is a function of a stack's
resources (functions resolved) that says, sentence by sentence, what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.support.cloudformation import REQUIRED
from vsv_pyramid.slide.names import DICOM_SUFFIX, SLIDE_SUFFIXES
from vsv_pyramid.web.app import CONTENT_SECURITY_POLICY

Resources = Mapping[str, Any]
Rule = Callable[[Resources], Iterator[str]]

# https://docs.aws.amazon.com/batch/latest/userguide/fargate.html: MiB by vCPUs.
FARGATE_MEMORY = {
    "0.25": (512, 1024, 2048),
    "0.5": range(1024, 4096 + 1, 1024),
    "1": range(2048, 8192 + 1, 1024),
    "2": range(4096, 16384 + 1, 1024),
    "4": range(8192, 30720 + 1, 1024),
    "8": range(16384, 61440 + 1, 4096),
    "16": range(32768, 122880 + 1, 8192),
}

# Wildcards in what is allowed, each with its reason: (resource, action) where the resource is "*".
EXPLAINED = {
    ("ExecutionRole", "ecr:GetAuthorizationToken"): "the token is the account's",
    ("ScanRole", "batch:DescribeJobs"): "Batch knows no narrower resource for it",
    **{
        ("ScanRole", f"ec2:{action}"): "Lambda's own interfaces, of which none is there before"
        for action in (
            "AssignPrivateIpAddresses",
            "CreateNetworkInterface",
            "DeleteNetworkInterface",
            "DescribeNetworkInterfaces",
            "DescribeSubnets",
            "UnassignPrivateIpAddresses",
        )
    },
}

# What can be made anew, or is written once.
WITHOUT_VERSIONS = ("Images", "Logs")
_KEPT_DAYS = 90

_PRIVATE = f"arn:aws:s3:::{REQUIRED['compute']['PrivateBucket']}/"
# Of what is private, these go without the desk: pictures that a rescan does not have, the name that
# a check of rights deletes, parts of the list of slides, why slides failed that are there by now,
# and what the scan remembers.
_GO = (
    *("/label.jpeg", "/macro.jpeg", "/.is-this-allowed", "/images/index-*-??.json"),
    *("private/failed/*", "watch/*"),
)
# What converting takes out of the environment.
CONVERTING = (
    "DESTINATION",
    "PRIVATE",
    "OPTIONS",
    "DETAILS",
    "LAYOUT",
    "IDS",
    "SLIDE_ID_PATTERN",
    "TIME_ZONE",
    "SLIDES",
)
_CDN = {"Service": "cloudfront.amazonaws.com"}


def of_type(resources: Resources, *kinds: str) -> Iterator[tuple[str, Any]]:
    """Names and properties."""
    for name, resource in resources.items():
        if resource["Type"] in kinds:
            yield name, resource.get("Properties", {})


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(resources: Resources) -> Iterator[tuple[str, Any]]:
    """Every statement of every policy there is, with the name of its resource."""
    for name, resource in resources.items():
        properties = resource.get("Properties", {})
        documents = [
            properties.get("PolicyDocument"),
            properties.get("RepositoryPolicyText"),
            properties.get("AssumeRolePolicyDocument"),
            *(policy["PolicyDocument"] for policy in properties.get("Policies", ())),
        ]
        for document in filter(None, documents):
            for statement in document["Statement"]:
                yield name, statement


def buckets_are_private(resources: Resources) -> Iterator[str]:
    for name, bucket in of_type(resources, "AWS::S3::Bucket"):
        block = bucket.get("PublicAccessBlockConfiguration", {})
        if len(block) != 4 or not all(value is True for value in block.values()):
            yield f"{name} does not block all public access"
        if "AccessControl" in bucket or "WebsiteConfiguration" in bucket:
            yield f"{name} has an ACL or is a website"
        if not bucket.get("BucketEncryption"):
            yield f"{name} is not encrypted"
        rules = bucket.get("LifecycleConfiguration", {}).get("Rules", [])
        if not any("AbortIncompleteMultipartUpload" in rule for rule in rules):
            yield f"{name} keeps aborted uploads"


def buckets_keep_versions(resources: Resources) -> Iterator[str]:
    """Where nothing can be made anew, what was overwritten or deleted stays for a while, and only
    lists of slides end by themselves."""
    for name, bucket in of_type(resources, "AWS::S3::Bucket"):
        if name in WITHOUT_VERSIONS:
            continue
        if bucket.get("VersioningConfiguration") != {"Status": "Enabled"}:
            yield f"{name} has no versions"
        lifecycle = bucket["LifecycleConfiguration"]["Rules"]
        kept = [rule.get("NoncurrentVersionExpiration") for rule in lifecycle]
        if kept.count({"NoncurrentDays": _KEPT_DAYS}) != 1 or kept.count(None) != len(kept) - 1:
            yield f"{name} does not keep old versions for {_KEPT_DAYS} days"
        for rule in lifecycle:
            ends = {"ExpirationInDays", "ExpirationDate", "Transition", "Transitions"} & rule.keys()
            is_asked = rule["Id"] == "ArchivedSlides" and ends == {"Transitions"}
            if ends and not is_asked and not rule.get("Prefix", "").endswith("manifests/"):
                yield f"{name} loses objects by its rule {rule['Id']}"


def access_logs_are_let_in(resources: Resources) -> Iterator[str]:
    """S3 says nothing where it may not write them."""
    allowed = {
        place
        for _, statement in statements(resources)
        if statement.get("Principal") == {"Service": "logging.s3.amazonaws.com"}
        for place in as_list(statement["Resource"])
    }
    for name, bucket in of_type(resources, "AWS::S3::Bucket"):
        logging = bucket.get("LoggingConfiguration")
        if logging is None:
            if name not in WITHOUT_VERSIONS:
                yield f"{name} has no access logs"
            continue
        target = logging["DestinationBucketName"].strip("<>")
        if f"<{target}.Arn>/{logging['LogFilePrefix']}*" not in allowed:
            yield f"{name} has access logs that {target} does not let in"


def a_cdn_reads_what_is_published(resources: Resources) -> Iterator[str]:
    """And of that bucket only."""
    let_in = set()
    for name, policy in of_type(resources, "AWS::S3::BucketPolicy"):
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement["Principal"] != _CDN:
                continue
            let_in.add(policy["Bucket"])
            for place in as_list(statement["Resource"]):
                is_shown = statement["Action"] != "s3:ListBucket"
                is_published = name == "ImagesPolicy" and place.endswith(("images/*", "viewer/*"))
                if is_shown and not is_published:
                    yield f"{name} shows a distribution {place}"
    for name, distribution in of_type(resources, "AWS::CloudFront::Distribution"):
        for origin in distribution["DistributionConfig"]["Origins"]:
            bucket = origin["DomainName"].partition(".s3.")[0]
            if bucket not in let_in:
                yield f"{name} has the origin {bucket}, which does not let it in"


def only_the_desk_deletes_what_is_private(resources: Resources) -> Iterator[str]:
    for name, statement in statements(resources):
        if name == "DeskPolicy" or "s3:DeleteObject" not in as_list(statement["Action"]):
            continue
        for place in as_list(statement["Resource"]):
            if place.startswith(_PRIVATE) and not place.endswith(_GO):
                yield f"{name} may delete {place.removeprefix(_PRIVATE)}"


def policies_open_nothing_to_everybody(resources: Resources) -> Iterator[str]:
    for name, statement in statements(resources):
        principal = statement.get("Principal")
        everybody = principal == "*" or (isinstance(principal, dict) and "*" in principal.values())
        if everybody and statement["Effect"] != "Deny":
            yield f"{name} allows {statement['Action']} to everybody"


def buckets_and_queues_want_tls(resources: Resources) -> Iterator[str]:
    for kind, policy_kind, key in (
        ("AWS::S3::Bucket", "AWS::S3::BucketPolicy", "Bucket"),
        ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "Queues"),
    ):
        safe: set[str] = set()
        for _, policy in of_type(resources, policy_kind):
            for statement in policy["PolicyDocument"]["Statement"]:
                if (
                    statement["Effect"] == "Deny"
                    and statement["Principal"] == "*"
                    and statement["Action"] in ("s3:*", "sqs:*")
                    and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
                ):
                    safe.update(as_list(policy[key]))
        for name, _ in of_type(resources, kind):
            # The policy of the images' bucket is in cdn.yaml.
            if f"<{name}>" not in safe and name != "Images":
                yield f"{name} can be reached without TLS"


def wildcards_are_explained(resources: Resources) -> Iterator[str]:
    for name, statement in statements(resources):
        if statement["Effect"] == "Deny":
            continue
        for action in as_list(statement["Action"]):
            if "*" in action:
                yield f"{name} allows {action}"
            if "*" in as_list(statement.get("Resource")) and (name, action) not in EXPLAINED:
                yield f"{name} allows {action} on everything"
        if "NotAction" in statement or "NotResource" in statement:
            yield f"{name} allows what it does not name"


def objects_are_named_by_bucket(resources: Resources) -> Iterator[str]:
    """S3: a bucket's name is always there, and only the converter's places in it."""
    for name, statement in statements(resources):
        for resource in as_list(statement.get("Resource", [])):
            place = str(resource).removeprefix("arn:aws:s3:::")
            if place != resource and (place.startswith("*") or place.count("*") > 1):
                yield f"{name} names no bucket: {resource}"


def what_is_kept(resources: Resources) -> Iterator[str]:
    for name, resource in resources.items():
        if resource["Type"] in ("AWS::S3::Bucket", "AWS::EFS::FileSystem"):
            for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
                if resource.get(policy) != "Retain":
                    yield f"{name} has no {policy} Retain"


def queues_have_dead_letters(resources: Resources) -> Iterator[str]:
    """Every queue that something is delivered to, and every target, but for the end of the line."""
    dead = {
        queue["RedrivePolicy"]["deadLetterTargetArn"]
        for _, queue in of_type(resources, "AWS::SQS::Queue")
        if "RedrivePolicy" in queue
    }
    for name, queue in of_type(resources, "AWS::SQS::Queue"):
        if "RedrivePolicy" not in queue and f"<{name}.Arn>" not in dead:
            yield f"{name} has no dead letters"
    for name, rule in of_type(resources, "AWS::Events::Rule"):
        for target in rule["Targets"]:
            if (
                target["Arn"] not in dead
                and target.get("DeadLetterConfig", {}).get("Arn") not in dead
            ):
                yield f"{name} has a target without dead letters"
    ends = {
        source["FunctionName"].strip("<>")
        for _, source in of_type(resources, "AWS::Lambda::EventSourceMapping")
        if source["EventSourceArn"] in dead
    }
    for name, function in of_type(resources, "AWS::Lambda::Function"):
        if name in ends:
            if "DeadLetterConfig" in function:
                yield f"{name} takes from the dead letters"
        elif function.get("DeadLetterConfig", {}).get("TargetArn") not in dead:
            yield f"{name} has no dead letters"


def functions_within_limits(resources: Resources) -> Iterator[str]:
    for name, function in of_type(resources, "AWS::Lambda::Function"):
        if not 128 <= int(function["MemorySize"]) <= 10240:
            yield f"{name} has a memory of {function['MemorySize']} MB"
        if not 1 <= int(function["Timeout"]) <= 900:
            yield f"{name} has a timeout of {function['Timeout']} s"
        if not 512 <= int(function["EphemeralStorage"]["Size"]) <= 10240:
            yield f"{name} has {function['EphemeralStorage']['Size']} MB of /tmp"


def queues_wait_for_their_function(resources: Resources) -> Iterator[str]:
    """Six times the function's timeout, or a message comes again while it is worked on."""
    for name, source in of_type(resources, "AWS::Lambda::EventSourceMapping"):
        queue = resources[source["EventSourceArn"].strip("<>").partition(".")[0]]["Properties"]
        function = resources[source["FunctionName"].strip("<>")]["Properties"]
        if int(queue["VisibilityTimeout"]) < 6 * int(function["Timeout"]):
            yield f"{name} has a visibility timeout of {queue['VisibilityTimeout']} s"
        if source.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            yield f"{name} does not take single failures"


def jobs_within_limits(resources: Resources) -> Iterator[str]:
    for name, job in of_type(resources, "AWS::Batch::JobDefinition"):
        if not 1 <= int(job["RetryStrategy"]["Attempts"]) <= 10:
            yield f"{name} has {job['RetryStrategy']['Attempts']} attempts"
        rules = job["RetryStrategy"].get("EvaluateOnExit", [])
        if len(rules) > 5:
            yield f"{name} has {len(rules)} rules for exit codes"
        exits = {rule["OnExitCode"] for rule in rules if rule["Action"] == "EXIT"}
        if exits != {"1", "2", "65"} or any(rule["Action"] != "EXIT" for rule in rules):
            yield f"{name} does not end at exit codes 1, 2 and 65 only"
        container = job["ContainerProperties"]
        needs = {one["Type"]: one["Value"] for one in container["ResourceRequirements"]}
        if int(needs["MEMORY"]) not in FARGATE_MEMORY.get(needs["VCPU"], ()):
            yield f"{name} has {needs['VCPU']} vCPUs with {needs['MEMORY']} MiB"
        if not 21 <= int(container["EphemeralStorage"]["SizeInGiB"]) <= 200:
            yield f"{name} has {container['EphemeralStorage']['SizeInGiB']} GiB of disk"


def logs_end(resources: Resources) -> Iterator[str]:
    for name, group in of_type(resources, "AWS::Logs::LogGroup"):
        if "RetentionInDays" not in group:
            yield f"{name} keeps logs for ever"


_NAMING_OTHERS = (
    "AWS::Lambda::Permission",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Logs::MetricFilter",
)


def nothing_has_a_name(resources: Resources) -> Iterator[str]:
    """Or there could be one stack to an account only."""
    keys = {"BucketName", "QueueName", "TopicName", "RoleName", "ManagedPolicyName", "Name"}
    keys |= {"FunctionName", "LogGroupName", "RepositoryName", "AlarmName"}
    keys |= {"JobQueueName", "JobDefinitionName", "ComputeEnvironmentName"}
    for name, resource in resources.items():
        if resource["Type"] in _NAMING_OTHERS:
            continue
        for key in sorted(keys):
            value = resource.get("Properties", {}).get(key)
            if value is not None and "stack" not in str(value):
                yield f"{name} has the fixed {key} {value}"


def nothing_lets_the_internet_in(resources: Resources) -> Iterator[str]:
    for name, group in of_type(resources, "AWS::EC2::SecurityGroup"):
        for rule in group.get("SecurityGroupIngress", ()):
            if "CidrIp" in rule or "CidrIpv6" in rule:
                yield f"{name} lets in {rule}"
        if not group.get("SecurityGroupEgress"):
            yield f"{name} lets everything out"


def roles_are_one_services(resources: Resources) -> Iterator[str]:
    for name, role in of_type(resources, "AWS::IAM::Role"):
        for statement in role["AssumeRolePolicyDocument"]["Statement"]:
            if statement["Principal"] not in (
                {"Service": "lambda.amazonaws.com"},
                {"Service": "ecs-tasks.amazonaws.com"},
            ):
                yield f"{name} can be taken by {statement['Principal']}"


def headers_are_those_of_serve(resources: Resources) -> Iterator[str]:
    for name, headers in of_type(resources, "AWS::CloudFront::ResponseHeadersPolicy"):
        config = headers["ResponseHeadersPolicyConfig"]
        security, sharing = config["SecurityHeadersConfig"], config.get("CorsConfig", {})
        origins = sharing.get("AccessControlAllowOrigins", {}).get("Items", [])
        if "*" in origins or sharing.get("AccessControlAllowCredentials"):
            yield f"{name} lets pages of any site, or with cookies, read slides"
        policy = security["ContentSecurityPolicy"]
        expected = " ".join([CONTENT_SECURITY_POLICY, *origins])
        if policy != {"ContentSecurityPolicy": expected, "Override": True}:
            yield f"{name} has another Content-Security-Policy than vsv_pyramid/web/app.py"
        others = {"ContentTypeOptions", "StrictTransportSecurity", "ReferrerPolicy"}
        if missing := others - security.keys():
            yield f"{name} has no {missing.pop()}"


def everything_is_cached_by_version(resources: Resources) -> Iterator[str]:
    for name, policy in of_type(resources, "AWS::CloudFront::CachePolicy"):
        config = policy["CachePolicyConfig"]
        key = config["ParametersInCacheKeyAndForwardedToOrigin"]
        if key["QueryStringsConfig"] != {"QueryStringBehavior": "whitelist", "QueryStrings": ["v"]}:
            yield f"{name} has not v, and nothing else of the query, in its key"
        if (config["MinTTL"], config["MaxTTL"]) != (0, 31536000):
            yield f"{name} keeps what is not to be kept, or not what is"


def images_want_signatures(resources: Resources) -> Iterator[str]:
    """Where there is a key; and what wants none cannot reach them."""
    for name, distribution in of_type(resources, "AWS::CloudFront::Distribution"):
        config = distribution["DistributionConfig"]
        behaviours = {one["PathPattern"]: one for one in config["CacheBehaviors"]}
        if "<KeyGroup>" not in behaviours["/images/*"].get("TrustedKeyGroups", ["<KeyGroup>"]):
            yield f"{name} takes other signatures"
        if "KeyGroup" in resources and "TrustedKeyGroups" not in behaviours["/images/*"]:
            yield f"{name} gives images to everybody"
        paths = {one["Id"]: one["OriginPath"] for one in config["Origins"]}
        default = config["DefaultCacheBehavior"]["TargetOriginId"]
        if not paths[default].endswith("/viewer"):
            yield f"{name} can be asked for images by another path"
        if behaviours.keys() != {"/images/*", "/viewer/*"}:
            yield f"{name} has a path that is not known"


def jobs_get_what_the_worker_reads(resources: Resources) -> Iterator[str]:
    for name, job in of_type(resources, "AWS::Batch::JobDefinition"):
        container = job["ContainerProperties"]
        names = {one["Name"] for one in container["Environment"]}
        if names != {f"VSV_PYRAMID_{one}" for one in CONVERTING}:
            yield f"{name} has the environment {sorted(names)}"
        if container["Command"] != ["Ref::place"]:
            yield f"{name} has the command {container['Command']}"


_JOBS = ("SLIDES", "QUEUE", "JOB_DEFINITION")
_MOST = ("FAILURES", "MOST_MEGABYTES")


def functions_get_what_the_handlers_read(resources: Resources) -> Iterator[str]:
    wanted = {
        "lambda_handler.ingest": {*CONVERTING, *_JOBS, *_MOST, "MOST_WAITING", "ARRIVALS"},
        "lambda_handler.scan": {*CONVERTING, *_JOBS, *_MOST},
        "reporter.report": {"DESTINATION", "PRIVATE", "IDS", *_JOBS, "JOB_LOG", "TOPIC"},
    }
    for name, function in of_type(resources, "AWS::Lambda::Function"):
        (handler,) = function["ImageConfig"]["Command"]
        names = function["Environment"]["Variables"].keys()
        if handler not in wanted:
            yield f"{name} has the command {function['ImageConfig']['Command']}"
        elif names != {f"VSV_PYRAMID_{one}" for one in wanted[handler]}:
            yield f"{name} has the environment {sorted(names)}"


def every_slide_is_taken(resources: Resources) -> Iterator[str]:
    """Of one file: slides of several are not fetched from S3."""
    wanted = (SLIDE_SUFFIXES | {DICOM_SUFFIX}) - {".mrxs", ".vms", ".vmu"}
    for name, rule in of_type(resources, "AWS::Events::Rule"):
        pattern = rule.get("EventPattern", {})
        if pattern.get("source") == ["aws.s3"]:
            taken = {
                one["suffix"]["equals-ignore-case"] for one in pattern["detail"]["object"]["key"]
            }
            for suffix in sorted(taken ^ wanted):
                yield f"{name} is wrong about {suffix}"


RULES: tuple[Rule, ...] = (
    headers_are_those_of_serve,
    everything_is_cached_by_version,
    images_want_signatures,
    jobs_get_what_the_worker_reads,
    functions_get_what_the_handlers_read,
    every_slide_is_taken,
    buckets_are_private,
    buckets_keep_versions,
    access_logs_are_let_in,
    a_cdn_reads_what_is_published,
    only_the_desk_deletes_what_is_private,
    policies_open_nothing_to_everybody,
    buckets_and_queues_want_tls,
    wildcards_are_explained,
    objects_are_named_by_bucket,
    what_is_kept,
    queues_have_dead_letters,
    functions_within_limits,
    queues_wait_for_their_function,
    jobs_within_limits,
    logs_end,
    nothing_has_a_name,
    nothing_lets_the_internet_in,
    roles_are_one_services,
)
