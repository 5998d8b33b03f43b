"""It says why: a row a situation, with what is done, the exit code, the sentence, and what must be
there afterwards. The server is real; a proxy before it plants what it would say."""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import Run
from tests.support.clock import FakeClock
from tests.support.s3_proxy import REQUEST_ID, Fault, Handler, Proxy, Request, refusing
from tests.support.s3_server import BUCKET, IDENTITIES, Place
from vsv_pyramid.aws import login, session
from vsv_pyramid.errors import StoreError, is_environment
from vsv_pyramid.store import Store, open_store

LEASE = ".leases/images/small"
DESCRIPTOR = "images/small/DeepZoom.dzi"
ME = "arn:aws:iam::123456789012:user/scanner"
OWNER = "123456789012"
METHODS = ("GET", "PUT", "HEAD", "POST", "DELETE")
NOWHERE = "http://127.0.0.1:9"

CONVERT = "convert SLIDE --to PLACE"
OVERWRITE = "convert SLIDE --to PLACE --tile-size 480 --overwrite"
TILE = "DeepZoom_files"


class Scene(NamedTuple):
    """What a row is played on."""

    place: Place
    proxy: Proxy


Ending = Callable[[Scene], object]


def nothing(scene: Scene) -> None:
    assert scene.place.objects().keys() <= {"scans/small.svs"}


def no_pyramid(scene: Scene) -> None:
    found = scene.place.objects()
    assert DESCRIPTOR not in found
    assert not any(key.startswith(".leases") for key in found)


def pyramid(scene: Scene) -> None:
    found = scene.place.objects()
    assert DESCRIPTOR in found
    assert not any(key.startswith(".leases") for key in found)


def viewer(scene: Scene) -> None:
    assert "viewer/index.html" in scene.place.objects()


def one_bulk_delete(scene: Scene) -> None:
    pyramid(scene)
    assert not any(key.endswith("/11/6_4.jpeg") for key in scene.place.objects())  # of 240 px
    assert scene.proxy.count("POST", "delete") == 1
    assert scene.proxy.count("DELETE", TILE) > 1


def leased(scene: Scene) -> None:
    assert scene.place.objects().keys() == {LEASE}


def no_leases(scene: Scene) -> None:
    assert not any(key.startswith(".leases") for key in scene.place.objects())


class Row(NamedTuple):
    """A situation: the words of the command, with SLIDE and PLACE for those of the test; the exit
    code; a sentence of stderr, None where nothing is to be said; what is there afterwards; what the
    server says; the environment's variables, with PORT for the server's; and whether the slide is
    published, uploaded to PLACE/scans/, and leased by another one, before."""

    name: str
    words: str
    code: int
    told: str | None
    there: Ending
    fault: Fault = lambda *_: False
    variables: Mapping[str, str] = {}
    published: bool = False
    uploaded: bool = False
    leased: bool = False


def once(fault: Fault) -> Fault:
    left = [fault]

    def first(handler: Handler, request: Request) -> bool:
        if not left or not left[0](handler, request):
            return False
        left.clear()
        return True

    return first


def demanding(header: str, value: str, *wanted: str) -> Fault:
    """Refuses requests by these methods, or any but lists, that come without the header."""

    def fault(handler: Handler, request: Request) -> bool:
        asked = "list" if "list-type" in request.path else request.method
        if asked not in (wanted or METHODS) or request.headers.get(header) == value:
            return False
        handler.refuse(403, "AccessDenied", f"no {header}")
        return True

    return fault


def taken_with(header: str, value: str | None) -> Fault:
    """Takes each put with the header (and value) without putting it: the real server would know no
    such key."""

    def fault(handler: Handler, request: Request) -> bool:
        if request.method != "PUT":
            return False
        wanted = request.headers.get(header, "missing") if value is None else value
        if not demanding(header, wanted, "PUT")(handler, request):
            handler.accept(request)
        return True

    return fault


def with_a_checksum(handler: Handler, request: Request) -> bool:
    if request.method != "PUT" or "x-amz-checksum-sha256" in request.headers:
        return False
    handler.refuse(400, "InvalidRequest", "Content-MD5 or x-amz-checksum- is required")
    return True


def bucket_itself(handler: Handler, request: Request) -> bool:
    """HeadBucket, which a policy by prefix cannot allow."""
    if request.method != "HEAD" or request.path.strip("/").partition("?")[0] != BUCKET:
        return False
    handler.refuse(403, "AccessDenied")
    return True


def a_web_page(handler: Handler, _: Request) -> bool:
    handler.answer(200, {"content-type": "text/html"}, b"<!doctype html><html><p>Welcome!<br>")
    return True


def a_login_for_the_proxy(handler: Handler, _: Request) -> bool:
    handler.answer(407, {"proxy-authenticate": "Basic"}, b"")
    return True


PAGE = b"<html><head><title>Login</title></head><body><h1>Who are you?</h1></body></html>"


def page(
    status: int, method: str = "", word: str = "", *, body: bytes = PAGE, **headers: str
) -> Fault:
    """Answers the requests of the method whose path has the word, or all, as no S3 does."""

    def fault(handler: Handler, request: Request) -> bool:
        if not (request.method.startswith(method) and word in request.path):
            return False
        handler.answer(status, {"content-type": "text/html", **headers}, body)
        return True

    return fault


def objects_are_pages(handler: Handler, request: Request) -> bool:
    """What is in the way lets lists through, and all that writes."""
    return "list-type" not in request.path and page(200, "GET")(handler, request)


def sent_on(status: int, method: str) -> Fault:
    """To a page that has a tag, as many a server gives."""

    def fault(handler: Handler, request: Request) -> bool:
        if request.path == "/login":
            handler.answer(200, {"content-type": "text/html", "etag": '"abc"'}, PAGE)
        elif request.method == method:
            handler.answer(status, {"location": "/login"}, b"")
        else:
            return False
        return True

    return fault


def without(*names: str) -> Fault:
    """All answers lack these headers."""

    def fault(handler: Handler, request: Request) -> bool:
        status, headers, body = handler.forwarded(request)
        kept = {name: value for name, value in headers.items() if name not in names}
        handler.answer(status, kept, body)
        return True

    return fault


def dated(date: str) -> Fault:
    def fault(handler: Handler, request: Request) -> bool:
        status, headers, body = handler.forwarded(request)
        handler.answer(status, {**headers, "date": date}, body)
        return True

    return fault


def lists_without_an_end(handler: Handler, request: Request) -> bool:
    if "list-type" not in request.path:
        return False
    status, headers, body = handler.forwarded(request)
    more = b"<NextContinuationToken>abc</NextContinuationToken><IsTruncated>true"
    handler.answer(status, headers, body.replace(b"<IsTruncated>false", more))
    return True


def empty_lists_without_an_end(handler: Handler, request: Request) -> bool:
    if "list-type" not in request.path:
        return False
    more = b"<IsTruncated>true</IsTruncated><NextContinuationToken>abc</NextContinuationToken>"
    handler.answer(200, {}, b"<ListBucketResult>" + more + b"</ListBucketResult>")
    return True


def deleted_another(handler: Handler, request: Request) -> bool:
    if request.method != "POST":
        return False
    error = b"<Error><Key>x</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
    handler.answer(200, {}, b"<DeleteResult>" + error + b"</DeleteResult>")
    return True


def archived(handler: Handler, request: Request) -> bool:
    if "list-type" not in request.path or "scans" not in request.path:
        return False
    status, headers, body = handler.forwarded(request)
    told = re.sub(b"<StorageClass>[A-Z_]*<", b"<StorageClass>DEEP_ARCHIVE<", body)
    handler.answer(status, headers, told)
    return True


REFUSED = [
    Row(
        "the login ends under way",
        CONVERT,
        1,
        f"PLACE/images/small/{TILE}/",
        no_pyramid,
        refusing(400, "ExpiredToken", "The provided token has expired.", method="PUT", word=TILE),
    ),
    Row(
        "the login has ended before",
        CONVERT,
        1,
        "the login has ended; log in again",
        nothing,
        refusing(400, "ExpiredToken"),
    ),
    Row(
        "the clock is wrong",
        CONVERT,
        1,
        "differ by more than 15 minutes; set this machine's clock",
        nothing,
        refusing(403, "RequestTimeTooSkewed"),
    ),
    Row(
        "the quota is used up",
        CONVERT,
        1,
        "the bucket's quota is used up; make room there",
        no_pyramid,
        refusing(403, "QuotaExceeded", method="PUT", word=TILE),
    ),
    Row(
        "the server's disks are full",
        CONVERT,
        1,
        "the server has no room left",
        no_pyramid,
        refusing(507, "InsufficientStorage", method="PUT", word=TILE),
    ),
    Row(
        "the key is disabled",
        CONVERT,
        1,
        "the encryption key is disabled; have it enabled",
        no_pyramid,
        refusing(400, "KMS.DisabledException", method="PUT", word=TILE),
    ),
    Row(
        "no right to put",
        CONVERT,
        1,
        f"access is refused (403): {ME} may not s3:PutObject on arn:aws:s3:::images/x because",
        no_pyramid,
        refusing(
            403,
            "AccessDenied",
            f"User: {ME} is not authorized to perform: s3:PutObject on resource: "
            '"arn:aws:s3:::images/x" because no identity-based policy allows it',
            method="PUT",
        ),
    ),
    Row(
        "no right to list",
        CONVERT,
        1,
        "access is refused (403): s3:ListBucket is not allowed",
        no_pyramid,
        refusing(403, "AccessDenied", method="GET", word="list-type"),
    ),
    Row(
        "no right to look: what an answer to HEAD cannot say",
        CONVERT,
        1,
        "access is refused (403): s3:GetObject is not allowed (not for you)",
        no_pyramid,
        refusing(403, "AccessDenied", "not for you", word="DeepZoom.dzi"),
    ),
    Row(
        "an option that the server lacks",
        f"{CONVERT} --storage-class GLACIER_IR",
        1,
        "the server does not know this kind of request (NotImplemented)",
        no_pyramid,
        refusing(501, "NotImplemented", method="PUT", word=TILE),
    ),
    Row(
        "a code that nobody knows",
        CONVERT,
        1,
        "answers with error 418 (Teapot): short and stout; ask who runs the server; the request's "
        f"id is {REQUEST_ID}",
        no_pyramid,
        refusing(418, "Teapot", "short and stout", method="PUT", word=TILE),
    ),
    Row(
        "too much for the server for ever",
        CONVERT,
        75,
        "the server asks for fewer requests (SlowDown); try again later",
        no_pyramid,
        refusing(503, "SlowDown", method="PUT", word=TILE),
    ),
    Row(
        "too much for the server once",
        CONVERT,
        0,
        None,
        pyramid,
        once(refusing(503, "SlowDown", method="PUT", word=TILE)),
    ),
    Row(
        "there is no such bucket",
        "convert SLIDE --to s3://not-there/p",
        1,
        "s3://not-there/p: there is no such bucket; check its name",
        nothing,
    ),
    *(
        Row(
            f"no such bucket: {words}",
            words,
            1,
            "s3://not-there/p: there is no such bucket",
            nothing,
        )
        for words in (
            "verify s3://not-there/p/images/x",
            "info s3://not-there/p/images/x",
            "delete s3://not-there/p/images/x --yes",
            "slides s3://not-there/p",
            "slides show x --in s3://not-there/p",
            "slides set x --in s3://not-there/p --status good",
            "index s3://not-there/p",
        )
    ),
    Row(
        "no bucket for the viewer",
        "viewer --to s3://not-there",
        1,
        "s3://not-there: there is no such bucket; check its name",
        nothing,
        refusing(404, "NoSuchBucket"),  # this server would make it
    ),
    Row(
        "another region",
        CONVERT,
        1,
        "the bucket is in another region; set AWS_REGION to the bucket's",
        nothing,
        refusing(301, "PermanentRedirect"),
    ),
    Row(
        "another region, of the slide",
        "convert PLACE/scans/small.svs --to PLACE",
        1,
        "PLACE/scans/small.svs: the bucket is in another region",
        nothing,
        refusing(301, "PermanentRedirect", word="scans"),
        uploaded=True,
    ),
    Row(
        "a slide that is archived",
        "convert PLACE/scans/small.svs --to PLACE",
        1,
        "PLACE/scans/small.svs: it is archived, in a storage class that must be restored",
        no_pyramid,
        refusing(403, "InvalidObjectState", method="GET", word="scans/small.svs"),
        uploaded=True,
    ),
    Row(
        "a slide that may not be read",
        "convert PLACE/scans/small.svs --to PLACE",
        1,
        "PLACE/scans/small.svs: access is refused (403): s3:GetObject is not allowed (hands off)",
        no_pyramid,
        refusing(403, "AccessDenied", "hands off", word="scans/small.svs"),
        uploaded=True,
    ),
    Row(
        "archived slides do not wait",
        "submit PLACE/scans --to PLACE --dry-run",
        0,
        "1 archived slide left out; restore what is needed",
        nothing,
        archived,
        uploaded=True,
    ),
    Row(
        "no right to delete",
        "delete PLACE/images/small --yes",
        1,
        "access is refused (403): s3:DeleteObject is not allowed (Access Denied)",
        pyramid,
        refusing(403, "AccessDenied", "Access Denied", method="POST"),
        published=True,
    ),
    Row(
        "no right to put the page",
        "viewer --to PLACE",
        1,
        "access is refused (403): s3:PutObject is not allowed (Access Denied)",
        nothing,
        refusing(403, "AccessDenied", "Access Denied", method="PUT"),
    ),
    Row(
        "a wrong secret",
        CONVERT,
        1,
        "the signature is not the one of this access key; check AWS_SECRET_ACCESS_KEY",
        nothing,
        variables={"AWS_SECRET_ACCESS_KEY": "not-the-secret-at-all"},
    ),
    Row(
        "a key that the server does not know",
        CONVERT,
        1,
        "the server knows no such access key; check AWS_PROFILE or AWS_ACCESS_KEY_ID",
        nothing,
        variables={"AWS_ACCESS_KEY_ID": "NOBODYSACCESSKEY"},
    ),
    Row(
        "one who may only read",
        CONVERT,
        1,
        "access is refused (403): s3:PutObject is not allowed",
        nothing,
        variables={
            "AWS_ACCESS_KEY_ID": IDENTITIES["reader"][0],
            "AWS_SECRET_ACCESS_KEY": IDENTITIES["reader"][1],
        },
    ),
]

DONE_OTHERWISE = [
    Row("no HeadBucket", CONVERT, 0, None, pyramid, bucket_itself),
    Row("no HeadBucket for a page", "viewer --to PLACE", 0, None, viewer, bucket_itself),
    *(
        Row(
            f"no bulk delete: {status} {code}",
            OVERWRITE,
            0,
            None,
            one_bulk_delete,
            refusing(status, code, method="POST", word="delete"),
            published=True,
        )
        for status, code in (
            (501, "NotImplemented"),
            (400, "InvalidArgument"),
            (405, "MethodNotAllowed"),
            (404, "NoSuchKey"),
            (404, "NotFound"),
        )
    ),
    Row(
        "a bulk delete by a login that has ended",
        OVERWRITE,
        1,
        "the login has ended",
        lambda scene: scene.proxy.count("DELETE", TILE) == 0,
        refusing(400, "ExpiredToken", method="POST", word="delete"),
        published=True,
    ),
]

NO_S3 = "the server http://127.0.0.1:PORT is no S3 server; check the endpoint (AWS_ENDPOINT_"
READERS = (
    "slides PLACE",
    "slides show small --in PLACE",
    "slides set small --in PLACE --status good",
    "slides delete small --in PLACE --yes",
    "index PLACE",
    "delete PLACE/images/small --yes",
    "verify PLACE/images/small",
    "info PLACE/images/small",
    "submit PLACE/scans --to PLACE --dry-run",
    OVERWRITE,
)
NOT_S3 = [
    *(
        Row(f"{name}: {words}", words, 1, NO_S3, pyramid, fault, published=True, uploaded=True)
        for name, fault in (
            ("404 to all", page(404)),
            ("404 to all, without a word", page(404, body=b"")),
            ("a page for each object", objects_are_pages),
            ("sent on to a page", sent_on(302, "GET")),
            ("404 or 405 to all", lambda *asked: page(404, "GET")(*asked) or page(405)(*asked)),
        )
        for words in READERS
        if (name, words) != ("404 or 405 to all", OVERWRITE)  # it first puts its lease
    ),
    *(
        Row(f"{name}: {words}", words, 1, NO_S3, there, fault)
        for name, fault in (
            ("404 to all", page(404)),
            ("404 to puts", page(404, "PUT")),
            ("a page for each put", page(200, "PUT")),
            ("204 to puts", page(204, "PUT", body=b"")),
            ("sent on (302)", sent_on(302, "PUT")),
            ("sent on (303)", sent_on(303, "PUT")),
        )
        for words, there in ((CONVERT, no_pyramid), ("viewer --to PLACE", nothing))
    ),
    *(
        Row(f"tiles: {name}", CONVERT, 1, NO_S3, no_pyramid, fault)
        for name, fault in (
            ("404", page(404, "PUT", TILE)),
            ("no tag", page(200, "PUT", TILE, body=b"")),
            ("an empty list", page(200, "GET", "list-type", body=b"")),
            ("a page for a list", page(200, "GET", "list-type")),
        )
    ),
    *(
        Row(f"{fault.__name__}: {words}", words, 1, NO_S3, pyramid, fault, published=True)
        for fault in (lists_without_an_end, empty_lists_without_an_end)
        for words in ("slides PLACE", "index PLACE", "verify PLACE/images/small", OVERWRITE)
    ),
    Row("no tags", OVERWRITE, 1, NO_S3, pyramid, without("etag"), published=True),
    *(
        Row(f"a lease {name}", CONVERT, 1, NO_S3, leased, fault, leased=True)
        for name, fault in (
            ("without a date", without("date")),
            ("without a date of its own", without("last-modified")),
            ("dated by rubbish", dated("yesterday")),
        )
    ),
    Row("a deletion of something else", OVERWRITE, 1, NO_S3, pyramid, deleted_another, {}, True),
    Row(
        "a page for the slide",
        "convert PLACE/scans/small.svs --to PLACE",
        1,
        NO_S3,
        no_pyramid,
        page(200, "", "scans/small.svs", etag='"abc"'),
        uploaded=True,
    ),
]
WITHOUT_A_WORD = [
    *(
        Row(
            f"{status} without a code",
            CONVERT,
            1,
            f"answers with error {status}, and not in S3's words; ask who runs the server",
            no_pyramid,
            page(status, "PUT", TILE),
        )
        for status in (400, 402, 405, 412, 413, 416, 451, 501)
    ),
    Row(
        "503 without a code",
        CONVERT,
        75,
        "answers with error 503; try again later",
        no_pyramid,
        page(503, "PUT", TILE),
    ),
    *(
        Row(
            f"404 to a put of {word}, by its name",
            CONVERT,
            1,
            "there is no such object; check bucket and key",
            lambda scene: no_leases(scene),
            refusing(404, "NoSuchKey", method="PUT", word=word),
        )
        for word in (TILE, ".private", ".leases")
    ),
    *(
        Row(
            f"{code} to {method}",
            OVERWRITE,
            1,
            f"answers with error 409 ({code}): {code}; ask who runs the server",
            no_leases,
            refusing(409, code, method=method),
            published=True,
        )
        for code in ("InvalidBucketState",)
        for method in ("POST", "PUT")
    ),
    Row(
        "412 to each lease",
        CONVERT,
        1,
        "the server refuses it (PreconditionFailed), though nobody is seen to be in its way",
        nothing,
        refusing(412, "PreconditionFailed", method="PUT", word=".leases"),
    ),
    Row(
        "501 to a get",
        "slides PLACE",
        1,
        "the server does not know this kind of request (NotImplemented): NotImplemented; ask who",
        nothing,
        refusing(501, "NotImplemented", method="GET"),
    ),
]

OTHER_CLIENT = [
    Row(f"{name}={value}", CONVERT, 0, None, pyramid, variables={name: value})
    for name, value in (
        ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true"),
        ("AWS_CONDITIONAL_PUT", "disabled"),
        ("AWS_CONDITIONAL_PUT", "nonsense"),
        ("AWS_SKIP_SIGNATURE", "true"),
        ("AWS_S3_EXPRESS", "true"),
        ("AWS_ALLOW_HTTP", "false"),
        ("AWS_ENDPOINT", NOWHERE),
        ("AWS_SERVER_SIDE_ENCRYPTION", "nonsense"),
        ("AWS_CHECKSUM_ALGORITHM", "nonsense"),
        ("AWS_COPY_IF_NOT_EXISTS", "nonsense"),
        ("AWS_BUCKET", "another"),
        ("aws_skip_signature", "true"),
        ("AWS_MAX_ATTEMPTS", "1"),
    )
] + [
    Row(
        "the endpoint of S3 alone",
        CONVERT,
        0,
        None,
        pyramid,
        variables={"AWS_ENDPOINT_URL": NOWHERE, "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:PORT"},
    ),
]

PROXIED = {"HTTP_PROXY": "http://me:a-password@127.0.0.1:9"}
ON_THE_WAY = [
    Row(
        "a proxy that does not answer",
        CONVERT,
        75,
        "the proxy http://127.0.0.1:9 does not answer",
        nothing,
        variables=PROXIED,
    ),
    *(
        Row(f"NO_PROXY={no}", CONVERT, 0, None, pyramid, variables={**PROXIED, "NO_PROXY": no})
        for no in ("*", "127.0.0.1", "127.0.0.1:PORT", "127.0.0.0/8", "127.*", "a.b, 127.0.0.1")
    ),
    Row(
        "NO_PROXY of another port",
        CONVERT,
        75,
        "the proxy http://127.0.0.1:9 does not answer",
        nothing,
        variables={**PROXIED, "NO_PROXY": "127.0.0.1:9"},
    ),
    Row(
        "all goes through the proxy",  # which is the server itself here
        CONVERT,
        0,
        None,
        pyramid,
        variables={"HTTP_PROXY": "http://127.0.0.1:PORT"},
    ),
    Row(
        "a proxy that asks for a login",
        CONVERT,
        1,
        "asks for a login; set HTTPS_PROXY (or HTTP_PROXY) to http://USER:PASSWORD@HOST:PORT",
        nothing,
        a_login_for_the_proxy,
        {"HTTP_PROXY": "http://127.0.0.1:PORT"},
    ),
    Row(
        "a name that there is not",
        CONVERT,
        1,
        "the name no-such-host.invalid is not known; check the endpoint (AWS_ENDPOINT_URL",
        nothing,
        variables={"AWS_ENDPOINT_URL": "https://no-such-host.invalid"},
    ),
    Row(
        "names cannot be asked for now",
        CONVERT,
        75,
        "the name not-now.invalid is not known",
        nothing,
        variables={"AWS_ENDPOINT_URL": "https://not-now.invalid"},
    ),
    Row(
        "a proxy's name that there is not",
        CONVERT,
        1,
        "the name no-such-host.invalid is not known; check the proxy",
        nothing,
        variables={"HTTP_PROXY": "http://no-such-host.invalid:3128"},
    ),
    Row(
        "https for a server that speaks http",
        CONVERT,
        1,
        "the server does not speak https; give http://HOST as AWS_ENDPOINT_URL",
        nothing,
        variables={"AWS_ENDPOINT_URL": "https://127.0.0.1:PORT"},
    ),
    Row(
        "a web page in S3's place",
        "slides PLACE",
        1,
        "is no S3 server; check the endpoint (AWS_ENDPOINT_URL) and the proxy",
        nothing,
        a_web_page,
    ),
    Row(
        "certificates that are not there",
        CONVERT,
        1,
        "the certificates in /not/there.pem cannot be used (No such file or directory)",
        nothing,
        variables={"AWS_CA_BUNDLE": "/not/there.pem"},
    ),
    Row(
        "certificates that are none, by requests' variable",
        CONVERT,
        1,
        "set AWS_CA_BUNDLE (or REQUESTS_CA_BUNDLE) to a PEM file",
        nothing,
        variables={"REQUESTS_CA_BUNDLE": __file__},
    ),
]


def helper(program: str, profile: str = "helped") -> str:
    """A profile whose credentials a program gives."""
    words = [Path(sys.executable).as_posix(), "-c", program]
    return f"[profile {profile}]\ncredential_process = {shlex.join(words)}\n"


OLD = {
    "Version": 1,
    "AccessKeyId": IDENTITIES["first"][0],
    "SecretAccessKey": IDENTITIES["first"][1],
    "SessionToken": "t",
    "Expiration": "2020-01-01T00:00:00Z",
}
HELPERS = {
    "helped": "import sys; sys.exit('no ticket')",
    "talking": "print('Hello!')",
    "halved": "print('{\"Version\": 1}')",
    "old": f"print({json.dumps(json.dumps(OLD))})",
    "hanging": "import time; time.sleep(1000)",
}


PROFILES = """
[profile none]
region = us-east-1
[profile base]
aws_access_key_id = AKEY
aws_secret_access_key = a-secret
[profile asking]
role_arn = arn:aws:iam::123456789012:role/scanner
source_profile = base
mfa_serial = arn:aws:iam::123456789012:mfa/me
[profile sso]
sso_session = ours
sso_account_id = 123456789012
sso_role_name = scanner
[sso-session ours]
sso_region = us-east-1
sso_start_url = https://example.org/start
[profile flat]
aws_access_key_id = AKEY
aws_secret_access_key = a-secret
s3 = hello
[profile missing]
credential_process = /not/there/helper
"""
LOGIN = [
    Row(
        "a helper that fails",
        CONVERT,
        1,
        "the program that is to give the credentials (credential_process) fails: no ticket; run it",
        nothing,
        variables={"AWS_PROFILE": "helped"},
    ),
    Row(
        "a helper that is not there",
        CONVERT,
        1,
        "No such file or directory: '/not/there/helper'; check the AWS configuration",
        nothing,
        variables={"AWS_PROFILE": "missing"},
    ),
    Row(
        "a code (MFA) asked for where nobody is",
        CONVERT,
        1,
        "the login asks for a code (MFA), and nobody is here to give it; log in before",
        nothing,
        variables={"AWS_PROFILE": "asking"},
    ),
    Row(
        "an SSO login that was never made",
        CONVERT,
        1,
        "the SSO login has ended, or was never made; log in with aws sso login",
        nothing,
        variables={"AWS_PROFILE": "sso"},
    ),
    Row(
        "a helper that prints no JSON",
        CONVERT,
        1,
        "(credential_process) prints no JSON; run it yourself to see what it says",
        nothing,
        variables={"AWS_PROFILE": "talking"},
    ),
    Row(
        "a helper that prints half of it",
        CONVERT,
        1,
        "(credential_process) fails: Missing required key in response: 'AccessKeyId'",
        nothing,
        variables={"AWS_PROFILE": "halved"},
    ),
    *(
        Row(
            f"a helper that gives old credentials: {words}",
            words,
            1,
            "the login has ended: the renewed credentials are old, too; log in again",
            nothing,
            variables={"AWS_PROFILE": "old"},
        )
        for words in (
            CONVERT,
            "slides PLACE",
            "viewer --to PLACE",
            "submit PLACE/s --to PLACE --dry-run",
        )
    ),
    Row(
        "a token that is not there",
        CONVERT,
        1,
        "the login's token cannot be read: No such file or directory: '/not/there/token'; check "
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        nothing,
        variables={
            "AWS_PROFILE": "none",
            "AWS_WEB_IDENTITY_TOKEN_FILE": "/not/there/token",
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/scanner",
        },
    ),
    *(
        Row(
            f"{name}={value!r}",
            CONVERT,
            1,
            f"({name}) has a blank, a line's end, or another character that none has; set it anew",
            nothing,
            variables={name: value},
        )
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        for value in ("A-KEY\n", "A KEY", "K\u00c4Y\u2026")
    ),
    *(
        Row(
            f"AWS_REGION={value!r}",
            CONVERT,
            1,
            f"there is no such region as {value!r}; check AWS_REGION",
            nothing,
            variables={"AWS_REGION": value},
        )
        for value in ("us east 1", "us-east-1\n", "us/east")
    ),
    *(
        Row(
            f"{name}={value}",
            words,
            1,
            f"what {name} names is no proxy; give it as http://HOST:PORT",
            nothing,
            variables={name: value},
        )
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        for value in ("http://me:a-password@127.0.0.1:abc", "http://[::1", "http://", "a:99999")
        for words in (CONVERT, "slides PLACE")
    ),
    Row(
        "a configuration that is not one",
        CONVERT,
        1,
        "check the AWS configuration",
        nothing,
        variables={"AWS_PROFILE": "flat"},
    ),
    Row(
        "certificates of the system that are not there",
        CONVERT,
        1,
        "the certificates that are to be trusted cannot be read; check SSL_CERT_FILE, SSL_CERT_DIR",
        nothing,
        variables={"SSL_CERT_FILE": "/not/there", "SSL_CERT_DIR": "/not/there"},
    ),
    Row(
        "a file of keys that cannot be made",
        CONVERT,
        1,
        ": No such file or directory: '/not/there/file'; check SSLKEYLOGFILE",
        nothing,
        variables={"SSLKEYLOGFILE": "/not/there/file"},
    ),
    Row(
        "a profile that is not there",
        CONVERT,
        1,
        "The config profile (nobody) could not be found; check the AWS configuration",
        nothing,
        variables={"AWS_PROFILE": "nobody"},
    ),
]

COMMANDS = [  # of all that open a store
    (CONVERT, pyramid),
    (OVERWRITE, pyramid),
    ("viewer --to PLACE", viewer),
    ("index PLACE", pyramid),
    ("slides set small --in PLACE --status good --slide-id S-1 --case-id S", pyramid),
    ("slides send small --in PLACE --cdr PRIVATE/cdr", pyramid),
    ("slides delete small --in PLACE --yes", no_pyramid),
    ("delete PLACE/images/small --yes", no_pyramid),
    ("slides PLACE", pyramid),
    ("slides show small --in PLACE", pyramid),
    ("verify PLACE/images/small", pyramid),
    ("info PLACE/images/small", pyramid),
    ("convert PLACE/scans/small.svs --to PLACE --overwrite", pyramid),
    ("submit PLACE/scans --to PLACE --dry-run", pyramid),
]
OPTIONS = [
    *(
        Row(
            f"{words}, by who pays",
            words,
            0,
            None,
            there,
            demanding("x-amz-request-payer", "requester", *METHODS, "list"),
            {"VSV_PYRAMID_REQUEST_PAYER": "requester"},
        )
        for words, there in COMMANDS
    ),
    *(
        Row(
            f"{words}, by whose bucket it is",
            f"{words} --expected-bucket-owner {OWNER}",
            0,
            None,
            there,
            demanding("x-amz-expected-bucket-owner", OWNER),
        )
        for words, there in COMMANDS[:8]  # what is only read may be another's
    ),
    *(
        Row(
            f"{words}, with a checksum",
            f"{words} --checksum sha256",
            0,
            None,
            there,
            with_a_checksum,
        )
        for words, there in COMMANDS[:5]
    ),
    *(
        Row(
            f"a page, encrypted: {put}",
            f"viewer --to PLACE {put}",
            0,
            None,
            nothing,
            taken_with(header, value),
        )
        for put, header, value in (
            ("--sse AES256", "x-amz-server-side-encryption", "AES256"),
            ("--sse aws:kms --kms-key k", "x-amz-server-side-encryption-aws-kms-key-id", "k"),
            ("--storage-class STANDARD_IA", "x-amz-storage-class", "STANDARD_IA"),
            ("--checksum crc64nvme", "x-amz-checksum-crc64nvme", None),
        )
    ),
]
ROWS = [*REFUSED, *DONE_OTHERWISE, *NOT_S3, *WITHOUT_A_WORD, *OTHER_CLIENT, *ON_THE_WAY, *LOGIN]


@pytest.fixture
def scene(
    place: Place, proxy: Proxy, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Scene:
    """Without what this machine would have to say to it."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(sys, "stdin", None)
    asked = socket.getaddrinfo

    def answered(host: Any, *others: Any, **named: Any) -> Any:
        for name, number in ("no-such-host", socket.EAI_NONAME), ("not-now", socket.EAI_AGAIN):
            if str(host).startswith(name):
                raise socket.gaierror(number, "as every resolver says it")
        return asked(host, *others, **named)

    monkeypatch.setattr(socket, "getaddrinfo", answered)
    config = tmp_path / "aws-config"
    config.write_text(PROFILES + "".join(helper(HELPERS[name], name) for name in HELPERS))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("VSV_PYRAMID_PRIVATE", str(place.private))
    return Scene(place, proxy)


def play(
    row: Row, scene: Scene, run: Run, slide: Path, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    if row.uploaded:
        scene.place.put("scans/small.svs", slide.read_bytes())
    if row.leased:
        scene.place.put(LEASE, b"1", owner="another", seconds="100")
    if row.published:
        assert run("convert", slide, "--to", scene.place, "--tile-size", 240).code == 0
    scene.proxy.requests.clear()
    scene.proxy.fault = row.fault
    port = scene.proxy.url.rpartition(":")[2]
    named = {"SLIDE": str(slide), "PLACE": str(scene.place), "PRIVATE": str(scene.place.private)}
    words = [
        re.sub("SLIDE|PLACE|PRIVATE", lambda word: named[word[0]], word)
        for word in row.words.split()
    ]
    with monkeypatch.context() as patch:
        for name, value in row.variables.items():
            patch.setenv(name, value.replace("PORT", port))
        if "AWS_PROFILE" in row.variables:
            patch.delenv("AWS_ACCESS_KEY_ID")
            patch.delenv("AWS_SECRET_ACCESS_KEY")
        outcome = run(*words)
    assert outcome.code == row.code, outcome.err
    assert "Traceback" not in outcome.err
    assert "a-password" not in outcome.err
    if row.told is None:
        assert outcome.err == ""
    else:
        told = row.told.replace("PLACE", str(scene.place)).replace(":PORT is", f":{port} is")
        assert told in outcome.out + outcome.err
    if row.code:
        assert outcome.err.count("Error: ") == 1
    if row.code == 1:
        assert sum(clock.slept) <= 3  # at once: boto3 1.36 tries some answers twice more by itself
    scene.proxy.fault = lambda *_: False
    row.there(scene)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_situation(
    row: Row,
    scene: Scene,
    run: Run,
    small_slide: Path,
    monkeypatch: pytest.MonkeyPatch,
    clock: FakeClock,
) -> None:
    play(row, scene, run, small_slide, monkeypatch, clock)


@pytest.mark.parametrize("row", OPTIONS, ids=lambda row: row.name)
def test_options_of_the_store_are_for_all_commands(
    row: Row,
    scene: Scene,
    run: Run,
    small_slide: Path,
    monkeypatch: pytest.MonkeyPatch,
    clock: FakeClock,
) -> None:
    if OVERWRITE in row.words or not row.words.startswith((CONVERT, "viewer")):
        assert run("convert", small_slide, "--to", scene.place, "--tile-size", 240).code == 0
        ids = ("--status", "good", "--slide-id", "S-1", "--case-id", "S")
        assert run("slides", "set", "small", "--in", scene.place, *ids).code == 0
    play(row._replace(uploaded=True), scene, run, small_slide, monkeypatch, clock)


def test_a_helper_that_hangs(
    scene: Scene, run: Run, small_slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "_HELPER_SECONDS", 0)
    started: list[subprocess.Popen[bytes]] = []
    init = login._Helper.__init__

    def noted(self: subprocess.Popen[bytes], *words: Any, **options: Any) -> None:
        started.append(self)
        init(self, *words, **options)

    monkeypatch.setattr(login._Helper, "__init__", noted)
    monkeypatch.setenv("AWS_PROFILE", "hanging")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    outcome = run("convert", small_slide, "--to", scene.place)
    assert outcome.code == 1
    assert "(credential_process) has not ended for 0 s; run it yourself" in outcome.err
    assert started
    assert all(process.returncode is not None for process in started)


def exclusively(store: Store) -> None:
    with store.exclusive("images/small"):
        pass


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.put("k", b"1"),
        lambda store: store.put_if("k", b"1", None),
        lambda store: store.get("k"),
        lambda store: store.head("k"),
        lambda store: store.names("images"),
        lambda store: list(store.keys("images/")),
        lambda store: store.delete("k"),
        exclusively,
    ],
    ids=["put", "put_if", "get", "head", "names", "keys", "delete", "exclusive"],
)
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (FileNotFoundError(2, "No such file or directory", "/a/token"), "or directory: '/a/token'"),
        (
            RuntimeError("the refreshed credentials are still expired."),
            "the login has ended: the renewed credentials",
        ),
        (json.JSONDecodeError("Expecting value", "", 0), "Expecting value"),
        (AttributeError("'str' object has no attribute 'get'"), "'str' object has no attribute"),
    ],
    ids=["token", "old", "json", "odd"],
)
def test_a_login_that_ends_under_way_is_the_environments(
    call: Callable[[Store], object],
    error: Exception,
    told: str,
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "_CREDENTIALS_TTL", timedelta(0))
    store = open_store(str(scene.place))
    store.put("k", b"1")
    account = store._account  # type: ignore[attr-defined]

    def ended() -> None:
        raise error

    monkeypatch.setattr(account._credentials._found, "get_frozen_credentials", ended)
    with pytest.raises(StoreError) as raised:
        call(store)
    assert is_environment(raised.value)
    assert raised.value.exit_code == 1
    assert told in str(raised.value)
    assert "; check the AWS configuration" in str(raised.value) or "; log in" in str(raised.value)
