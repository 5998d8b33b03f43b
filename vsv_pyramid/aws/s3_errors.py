"""Errors of boto3 and of obstore, read alike, and put into words: S3's own code decides, not the
status. Those of obstore are text, with S3's answer in it."""

from __future__ import annotations

import html
import re
from typing import NamedTuple

import boto3.exceptions
import botocore.exceptions
import botocore.parsers
from obstore.exceptions import BaseError as ObstoreError

from vsv_pyramid.aws import proxies
from vsv_pyramid.aws.s3_codes import CAUSES, CODES, STATUSES, WITHOUT_A_WORD, Case
from vsv_pyramid.errors import StoreError, StoreRefused, StoreUnavailable

_OPTIONS_OF_PUTS = "leave out the options of S3 that it lacks (--sse, --checksum, --storage-class)"


class NotS3(Exception):
    """An answer that no S3 server gives, be it a page of something in between: nothing is to be
    concluded from it, and nothing written because of it."""


class LoginFailed(Exception):
    """Credentials that are not to be had: by which of boto3's ways, and why."""

    def __init__(self, method: str, exc: Exception) -> None:
        super().__init__(f"{method}: {type(exc).__name__}: {said(exc)}")


ERRORS = (
    NotS3,
    LoginFailed,
    botocore.exceptions.ClientError,
    botocore.exceptions.BotoCoreError,
    botocore.parsers.ResponseParserError,
    boto3.exceptions.Boto3Error,
    ObstoreError,
)


SERVER = "Server"  # who answered, among what an error of boto3 tells of the answer


class Answer(NamedTuple):
    """An error's parts, as far as it has them: all empty where no server answered. `text` is all
    that it says, `words` the part of that which people may read."""

    status: int | None
    code: str
    message: str
    request_id: str
    action: str
    server: str
    text: str
    words: str


_OF_ONE_OBJECT = ("EntityTooLarge", "InvalidObjectState", "NoSuchKey")  # not of all others, too
_LONGEST = 1 << 14  # characters of what a server says that are looked at
_PASSING = {408, 425, 429, 500, 502, 503, 504}
# What S3 and Batch say of credentials that are not, or no longer, the right ones.
_LOGINS = (
    *("ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidClientTokenId"),
    *("InvalidToken", "SignatureDoesNotMatch", "TokenRefreshRequired"),
    *("InvalidSignatureException", "UnrecognizedClientException"),
)
# What S3 says of a write whose condition does not hold, or that another one has come across.
_TAKEN = ("ConditionalRequestConflict", "OperationAborted", "PreconditionFailed")
_NETWORK = (
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.ConnectionError,
    botocore.exceptions.IncompleteReadError,
    boto3.exceptions.RetriesExceededError,
)
_ACTIONS = {  # where the name of the right is not that of boto3's operation, or HTTP's method
    "DELETE": "DeleteObject",
    "DeleteObjects": "DeleteObject",
    "GET": "GetObject",
    "HEAD": "GetObject",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListObjectsV2": "ListBucket",
    "POST": "DeleteObject",
    "PUT": "PutObject",
}


def said(exc: Exception) -> str:
    """The error in its own words, as the first part of a sentence, in one line."""
    return _tidy(str(exc)[:_LONGEST].partition("\n\nDebug source:")[0]).rstrip(".")


def status(exc: Exception) -> int | None:
    """The HTTP status that the error of boto3 or obstore is about, None where there was none."""
    if isinstance(exc, botocore.exceptions.ClientError):
        return int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) or None
    found = re.search(r"status code: (\d{3})", str(exc))
    return int(found[1]) if found else None


def code(exc: Exception) -> str:
    """S3's own code for the error, empty where it gave none."""
    return _answer(exc).code


def is_passing(exc: Exception) -> bool:
    """Whether the same may go well a little later: the server's own trouble, or the network's."""
    return case_of(exc).passes


def is_login(exc: Exception) -> bool:
    """Whether it is the credentials that are refused, or that are not to be had."""
    answer = _answer(exc)
    return answer.code in _LOGINS or LoginFailed.__name__ in answer.text


def is_taken(exc: Exception) -> bool:
    """Whether S3 says that another one was faster. A status alone says nothing: any server has
    those."""
    return code(exc) in _TAKEN


def knows_no_conditions(exc: Exception) -> bool:
    """Whether S3 says that it knows no conditional writes."""
    return status(exc) in (405, 501) and code(exc) != ""


def refusal(place: object, exc: Exception, server: str = "") -> StoreError:
    """The error in a sentence; `server` is who answered, where the error does not tell."""
    case = case_of(exc, server)
    kind = StoreError if code(exc) in _OF_ONE_OBJECT else StoreRefused
    if case.passes:
        kind = StoreUnavailable
    return kind(place, f"{case.cause}; {case.remedy}")


def case_of(exc: Exception, server: str = "") -> Case:
    """What the error comes to, its braces filled in."""
    answer = _answer(exc)
    answer = answer._replace(server=answer.server or server)
    proxy = proxies.proxy_of(answer.server) if answer.server else None
    fields = {**answer._asdict(), "proxy": proxies.shown(proxy) if proxy else "on the way"}
    puts = answer.action == "s3:PutObject"
    fields["options"] = _OPTIONS_OF_PUTS if puts else "ask who runs the server"
    fields["resolved"] = re.sub(r"^\w+://|[:/].*$", "", proxy or answer.server)
    case = None
    for pattern, named in CAUSES:
        if found := re.search(pattern, answer.text):
            case, fields = named, {**fields, **found.groupdict("")}
            break
    case = case or _by_code(answer) or _by_status(answer, proxy) or _by_kind(exc, proxy)
    cause, remedy = (_tidy(part.format(**fields)) for part in case[:2])
    return Case(cause, remedy, case.passes)


def _by_code(answer: Answer) -> Case | None:
    if not answer.code:
        return None
    if answer.code in CODES:
        return CODES[answer.code]
    if answer.code.startswith("KMS."):
        return Case("the encryption key is refused ({code}): {message}", "check --kms-key")
    remedy = "ask who runs the server"
    if answer.request_id:
        remedy += "; the request's id is {request_id}"
    passes = answer.status in _PASSING
    return Case("answers with error {status} ({code}): {message}", remedy, passes)


def _by_status(answer: Answer, proxy: str | None) -> Case | None:
    if not answer.status:
        return None
    passes = answer.status in _PASSING
    if proxy:
        return Case(
            "error {status} came through the proxy {proxy} and is not from S3",
            "ask who runs the proxy, or name the server in NO_PROXY",
            passes,
        )
    if passes:
        return Case("answers with error {status}", "try again later", passes)
    return STATUSES.get(answer.status, WITHOUT_A_WORD)


def _by_kind(exc: Exception, proxy: str | None) -> Case:
    if isinstance(exc, _NETWORK) or (isinstance(exc, ObstoreError) and "HTTP error" in str(exc)):
        if proxy:
            return Case(
                "does not answer through the proxy {proxy}",
                "check HTTPS_PROXY (or HTTP_PROXY) and NO_PROXY, and try again",
                passes=True,
            )
        return Case("does not answer", "check the network and try again", passes=True)
    return Case("{words}", "check the AWS configuration")


def _answer(exc: Exception) -> Answer:
    kind, words = type(exc).__name__, said(exc)
    if isinstance(exc, botocore.exceptions.ClientError):
        error = exc.response.get("Error", {})
        coded = str(error.get("Code", ""))
        message = str(error.get("Message", ""))
        answered = exc.response.get("ResponseMetadata", {})
        return Answer(
            status(exc),
            "" if coded.isdecimal() else coded,
            message,
            str(answered.get("RequestId", "")),
            _action(exc.operation_name),
            str(answered.get(SERVER, "")),
            f"({coded}) {message}",
            words,
        )
    about = str(getattr(exc, "kwargs", {}).get("error", ""))  # what boto3 does not say itself
    server = re.search(r"https?://[^\s/\"?]+", words)
    request = re.search(r"Error performing ([A-Z]+) (\S+)", words)
    method = request[1] if request else ""
    if request and "list-type=" in request[2]:
        method = "ListObjectsV2"
    parts = {
        name: html.unescape(found[1])
        if (found := re.search(rf"<{name}>(.*?)</{name}>", words))
        else ""
        for name in ("Code", "Message", "RequestId")
    }
    refused = re.search(r"failed for key .*?: (?P<message>.*) \(code: (?P<code>\w+)\)", words)
    if refused:  # one of the objects of a bulk delete
        parts = {"Code": refused["code"], "Message": refused["message"], "RequestId": ""}
        method = "DELETE"
    return Answer(
        status(exc) or (403 if refused else None),
        parts["Code"],
        parts["Message"],
        parts["RequestId"],
        _action(method),
        server[0] if server else "",
        parts["Message"] if parts["Code"] else f"{kind}: {exc} {about}",
        words,
    )


def _tidy(text: str) -> str:
    """In one line, without what is empty."""
    return re.sub(r"\s+", " ", text).replace(" ()", "").removesuffix(": ").strip()


def _action(operation: str) -> str:
    """The right that the operation needs, as policies name it."""
    return f"s3:{_ACTIONS.get(operation, operation)}"
