"""What S3 says, in words: a test a line of the tables, by the answers of a real server to both
clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.support import s3_proxy
from tests.support.clock import fake
from tests.support.s3_proxy import REQUEST_ID, Proxy, refusing
from vsv_pyramid.aws import s3_errors, session
from vsv_pyramid.aws.s3_codes import CODES
from vsv_pyramid.errors import StoreError
from vsv_pyramid.store import Store, open_store

ME = "arn:aws:iam::123456789012:user/scanner"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/k"
ENDED = "the login has ended; log in again"
REGION = "the bucket is in another region; set AWS_REGION to the bucket's"
UNKNOWN_KEY = "the server knows no such access key; check AWS_PROFILE or AWS_ACCESS_KEY_ID"
BUSY = "answers with error {0} ({1}); try again later"
SPOILT = "it was spoilt on the way ({1}); try again"
NOT_KNOWN = "the server does not know this kind of request ({1}): no way; leave out the options"
STATE = "the encryption key cannot be used as it is, such as one that will be deleted; have it"


class Line(NamedTuple):
    """S3's answer, and what is to be told about it: exit code and sentence."""

    status: int
    code: str
    exit_code: int
    sentence: str
    message: str = "no way"


LINES = [
    Line(403, "AccessDenied", 1, "access is refused (403): s3:PutObject is not allowed (no way)"),
    Line(
        403,
        "AccessDenied",
        1,
        f"access is refused (403): {ME} may not s3:PutObject on arn:aws:s3:::b/k because no "
        "identity-based policy allows it; have that allowed",
        f"User: {ME} is not authorized to perform: s3:PutObject on resource: "
        '"arn:aws:s3:::b/k" because no identity-based policy allows it',
    ),
    Line(
        403,
        "AccessDenied",
        1,
        f"access is refused (403): {ME} may not kms:GenerateDataKey on {KEY}",
        f"User: {ME} is not authorized to perform: kms:GenerateDataKey on resource: {KEY} "
        "because no key policy allows it",
    ),
    Line(400, "AccessDeniedException", 1, "access is refused (400): no way; have that allowed"),
    Line(403, "AccountProblem", 1, "the account has a problem: no way; ask who runs the account"),
    Line(403, "AllAccessDisabled", 1, "all access to the bucket is disabled, by its provider; ask"),
    Line(
        400,
        "AuthorizationHeaderMalformed",
        1,
        "the region is wrong (expecting 'eu-west-1'); set AWS_REGION to the bucket's",
        "expecting 'eu-west-1'",
    ),
    Line(400, "BadDigest", 75, SPOILT),
    Line(409, "ConditionalRequestConflict", 75, BUSY),
    Line(400, "EntityTooLarge", 1, "it is too large for the server; have its limit raised"),
    Line(400, "ExpiredToken", 1, ENDED),
    Line(403, "ExpiredTokenException", 1, ENDED),
    Line(400, "IllegalLocationConstraintException", 1, REGION),
    Line(400, "IncompleteBody", 75, SPOILT),
    Line(507, "InsufficientStorage", 1, "the server has no room left; make room there"),
    Line(500, "InternalError", 75, BUSY),
    Line(403, "InvalidAccessKeyId", 1, UNKNOWN_KEY),
    Line(400, "InvalidBucketName", 1, "no bucket can have this name; check the name"),
    Line(403, "InvalidClientTokenId", 1, UNKNOWN_KEY),
    Line(403, "InvalidObjectState", 1, "it is archived, in a storage class that must be restored"),
    Line(400, "InvalidStorageClass", 1, "the server has no such storage class; give another"),
    Line(400, "InvalidToken", 1, "the session token is not valid; log in again, and see that"),
    Line(400, "KMS.AccessDeniedException", 1, "the encryption key is refused: no way; have that"),
    Line(400, "KMS.DisabledException", 1, "the encryption key is disabled; have it enabled"),
    Line(500, "KMS.InternalFailureException", 75, BUSY),
    Line(400, "KMS.InvalidKeyUsageException", 1, "the encryption key is not one for encryption"),
    Line(400, "KMS.InvalidStateException", 1, STATE),
    Line(500, "KMS.KMSInternalException", 75, BUSY),
    Line(400, "KMS.KMSInvalidStateException", 1, STATE),
    Line(400, "KMS.NotFoundException", 1, "there is no such encryption key in the bucket's region"),
    Line(400, "KMS.ThrottlingException", 75, BUSY),
    Line(400, "KMS.SomethingElse", 1, "the encryption key is refused (KMS.SomethingElse): no way"),
    Line(405, "MethodNotAllowed", 1, NOT_KNOWN),
    Line(404, "NoSuchBucket", 1, "there is no such bucket; check its name, and the endpoint"),
    Line(404, "NoSuchKey", 1, "there is no such object; check bucket and key"),
    Line(501, "NotImplemented", 1, NOT_KNOWN),
    Line(403, "NotSignedUp", 1, "the account has no S3; ask who runs the account"),
    Line(409, "OperationAborted", 75, BUSY),
    Line(301, "PermanentRedirect", 1, REGION),
    Line(412, "PreconditionFailed", 1, "the server refuses it (PreconditionFailed), though nobody"),
    Line(403, "QuotaExceeded", 1, "the bucket's quota is used up; make room there, or have"),
    Line(307, "Redirect", 1, REGION),
    Line(403, "RequestTimeTooSkewed", 1, "the server's clock and this machine's differ by more"),
    Line(400, "RequestTimeout", 75, BUSY),
    Line(503, "ServiceUnavailable", 75, BUSY),
    Line(403, "SignatureDoesNotMatch", 1, "the signature is not the one of this access key; check"),
    Line(503, "SlowDown", 75, "the server asks for fewer requests (SlowDown); try again later, or"),
    Line(307, "TemporaryRedirect", 1, REGION),
    Line(400, "Throttling", 75, BUSY),
    Line(400, "ThrottlingException", 75, BUSY),
    Line(400, "TokenRefreshRequired", 1, ENDED),
    Line(429, "TooManyRequests", 75, BUSY),
    Line(403, "UnrecognizedClientException", 1, UNKNOWN_KEY),
    Line(400, "XAmzContentChecksumMismatch", 75, SPOILT),
    Line(400, "XAmzContentSHA256Mismatch", 75, SPOILT),
    Line(403, "XMinioAdminBucketQuotaExceeded", 1, "the bucket's quota is used up; make room"),
    Line(507, "XMinioStorageFull", 1, "the server has no room left; make room there"),
    Line(
        400,
        "InvalidRequest",
        1,
        "the bucket wants a checksum of each object; give --checksum sha256",
        "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with "
        "Object Lock parameters",
    ),
    Line(
        418,
        "Teapot",
        1,
        "answers with error 418 (Teapot): short and stout; ask who runs the server; the request's "
        f"id is {REQUEST_ID}",
        "short\n and stout",
    ),
    Line(503, "Teapot", 75, "answers with error 503 (Teapot): no way; ask who runs the server"),
]


class Clients(NamedTuple):
    """Both, before a server of refusals that has nothing behind it."""

    proxy: Proxy
    boto3: Any
    store: Store


@pytest.fixture(scope="module")
def clients() -> Iterator[Clients]:
    with (
        fake(),
        s3_proxy.before("http://127.0.0.1:9") as proxy,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_ENDPOINT_URL", proxy.url)
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "AKEY")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
        bucket = "s3://a-bucket"
        yield Clients(proxy, session.Account(session.parse_url(bucket)).client, open_store(bucket))


def test_every_code_has_its_line() -> None:
    assert CODES.keys() <= {line.code for line in LINES}


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.code}-{line.status}")
def test_a_line(line: Line, clients: Clients) -> None:
    sentence = line.sentence.format(line.status, line.code)
    clients.proxy.fault = refusing(line.status, line.code, line.message)
    with pytest.raises(s3_errors.ERRORS) as by_boto3:
        clients.boto3.put_object(Bucket="a-bucket", Key="k", Body=b"1")
    refusal = s3_errors.refusal("s3://a-bucket/k", by_boto3.value)
    assert str(refusal).startswith(f"s3://a-bucket/k: {sentence}")
    assert refusal.exit_code == line.exit_code
    if line.code == "NoSuchKey":  # which no server says of a put
        return
    clients.proxy.requests.clear()
    with pytest.raises(StoreError) as by_obstore:
        clients.store.put("k", b"1")
    place = "s3://a-bucket" if line.code == "NoSuchBucket" else "s3://a-bucket/k"
    assert str(by_obstore.value).startswith(f"{place}: {sentence}")
    assert "\n" not in str(by_obstore.value)
    assert by_obstore.value.exit_code == line.exit_code
    assert (len(clients.proxy.requests) > 1) == (line.exit_code == 75)  # is what passes
