"""What is played: files, archives, requests and lists of a bucket, each drawn by chance.

A play is made in a folder of its own, and gives what does one case with the chance that is drawn:
in an empty folder it makes something hostile, and returns the faults that it found.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import random
import shutil
import socket
import sys
import traceback
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from tests.containers.mutable import CONTAINERS
from tests.support import clock, http_server, odd_names
from tests.support.hostile import json_documents
from tests.support.mutations import mutated
from tests.support.site import HOST, Site, serving
from vsv_pyramid import repacking
from vsv_pyramid.cli.main import main
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination import open_destination
from vsv_pyramid.layout import keys
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review import failures
from vsv_pyramid.review.desk import Desk
from vsv_pyramid.review.failures import Failed
from vsv_pyramid.web.app import create_app
from vsv_pyramid.web.desk_api import Entrance
from vsv_pyramid.web.people import Owner

Act = Callable[[random.Random, Path], list[str]]
_ANSWER_SECONDS = 25.0  # the server waits for 20 for a request to go on
_MOST_BYTES = 1 << 20  # of an answer
_NUMBERS = ("", "-1", "0", "1e9", "99999999999999999999", "0x10", "a", "\u0661", "1 ", "+1")


class Play(NamedTuple):
    """How many cases there are, and what plays one of them."""

    cases: int
    made_in: Callable[[Path], AbstractContextManager[Act]]


def command(*words: object) -> list[str]:
    """The command line's faults, run in this process: a traceback, a text that is not to be shown,
    an end that is none of ours."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2)]
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = streams
    faults = []
    try:
        main([str(word) for word in words])
    except SystemExit as exc:
        if exc.code not in (0, 1, 2, 65, 75):
            faults.append(f"exit code {exc.code}")
    except BaseException:
        faults.append(traceback.format_exc())
    finally:
        sys.stdout, sys.stderr = before
    for stream in streams:
        stream.flush()
        text = stream.buffer.getvalue().decode()
        if "Traceback" in text or not text.replace("\n", "").isprintable():
            faults.append(text)
    return [f"{' '.join(map(str, words[:2]))}: {fault}" for fault in faults]


@contextlib.contextmanager
def slides(folder: Path) -> Iterator[Act]:
    """Of each container in turn, with a few of its numbers changed."""
    sound = []
    for number, (make, places_of) in enumerate(CONTAINERS.values()):
        place = folder / f"{number}"
        place.mkdir()
        path = make(place)
        sound.append((path.suffix, path.read_bytes(), list(places_of(path))))

    def act(draw: random.Random, here: Path) -> list[str]:
        suffix, data, places = draw.choice(sound)
        slide = here / f"a{suffix}"
        slide.write_bytes(mutated(data, places, draw))
        made = ("--to", here / "to", "--json", "--on-error", "blank", "--workers", "1")
        return [*command("info", slide), *command("convert", slide, *made)]

    yield act


@contextlib.contextmanager
def archives(folder: Path) -> Iterator[Act]:
    """Zip and SZI files with bytes changed, mostly in their directory, or members that lie."""
    slide = CONTAINERS["jpeg"][0](folder)
    sound = []
    for name in ("a.zip", "a.szi"):
        convert(slide, folder / name, ConvertOptions(slide_id="a", workers=1))
        sound.append((name, (folder / name).read_bytes()))

    def act(draw: random.Random, here: Path) -> list[str]:
        name, data = draw.choice(sound)
        path = here / name
        path.write_bytes(_changed(data, draw) if draw.random() < 0.7 else b"")
        if not path.stat().st_size:
            _repacked(data, path, draw)
        return [
            fault
            for words in (("verify", path), ("info", path), ("verify", path, "--deep"))
            for fault in command(*words)
        ]

    yield act


def _changed(data: bytes, draw: random.Random) -> bytes:
    made = bytearray(data)
    directory = data.find(b"PK\1\2")
    for _ in range(draw.randint(1, 8)):
        at = draw.randrange(directory if draw.random() < 0.8 else 0, len(made))
        made[at] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
    if draw.random() < 0.1:
        del made[draw.randrange(len(made)) :]
    return bytes(made)


def _repacked(data: bytes, path: Path, draw: random.Random) -> None:
    """With members of odd names and contents among the others, or in their place."""
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(path, "w") as archive:
        for member in before.infolist():
            body = before.read(member)
            if draw.random() < 0.05 or member.filename.endswith((".dzi", ".json", ".xml")):
                body = draw.choice((body, b"", b"{" * 10_000, body[::-1], _numbered(body, draw)))
            kind = draw.choice((zipfile.ZIP_STORED,) * 20 + (zipfile.ZIP_DEFLATED,))
            archive.writestr(zipfile.ZipInfo(member.filename), body, kind)
        for name in draw.sample([*odd_names.FILES, *odd_names.KEYS], 3):
            with contextlib.suppress(UnicodeEncodeError, ValueError):
                archive.writestr(zipfile.ZipInfo(f"images/a/{name}"), b"1")
        if draw.random() < 0.2:
            archive.writestr("images/a/bomb.jpeg", bytes(50_000_000), zipfile.ZIP_DEFLATED)


def _numbered(body: bytes, draw: random.Random) -> bytes:
    """With another number in the place of one that is there."""
    found = [at for at, byte in enumerate(body) if chr(byte).isdigit()]
    if not found:
        return body
    at = draw.choice(found)
    return body[:at] + draw.choice(_NUMBERS).encode() + body[at + 1 :]


@contextlib.contextmanager
def requests(folder: Path) -> Iterator[Act]:
    """Bytes that a server of slides and the desk are sent: any answer but a 500, and an end."""
    slide = CONTAINERS["jpeg"][0](folder)
    to, private = folder / "to", folder / "private"
    convert(slide, to, ConvertOptions(slide_id="a", workers=1, private_to=str(private)))
    repacking.pack(open_destination(to, str(private)).published, keys.folder("a"))
    owner = Owner("a")
    app = create_app(
        open_destination(to, str(private)), entrance=Entrance(owner), hosts=[HOST, "localhost"]
    )
    told = _Told()
    logging.getLogger("uvicorn.error").addHandler(told)
    with serving(app) as outside:
        site = outside.entered(owner.key)
        token = json.loads(site.ask("/desk/api/session").body)["token"]

        def act(draw: random.Random, _: Path) -> list[str]:
            told.records.clear()
            sent = _request(draw, site, token)
            answer = _answer(site.port, sent)
            is_one = not answer or answer.startswith(b"HTTP/1.1 ")
            if not is_one or answer[9:12] == b"500" or b"Traceback" in answer or told.records:
                return [f"{sent[:300]!r}: {answer[:300]!r} {told.records}"]
            return []

        yield act


@contextlib.contextmanager
def documents(folder: Path) -> Iterator[Act]:
    """A catalog, a slide.json, a record and all else that a destination knows, of any content."""
    slide = CONTAINERS["jpeg"][0](folder)
    root, private = folder / "to", folder / "private"
    convert(slide, root, ConvertOptions(slide_id="a", workers=1, private_to=str(private)))
    store = open_destination(str(root), str(private))
    failures.remember(store, Failed("a", str(slide), "is cut off"))
    Desk(store, "anna").set({"a": None}, {"status": "GOOD", "slide_id": "S1"}, "seen")
    honest = [path for path in folder.rglob("*.json") if path.is_file()]
    commands = (
        *(("verify", "to"), ("verify", "to/images/a"), ("info", "to/images/a"), ("index", "to")),
        *(("slides", "to"), ("slides", "show", "a", "--in", "to"), ("slides", "to", "--failed")),
        *(("slides", "set", "a", "--in", "to", "--status", "bad"), ("refresh", "to")),
        *(("slides", "retry", "a", "--in", "to"), ("pack", "to", "--yes")),
        *(("delete", "a", "--in", "to", "--yes"), ("verify", "to", "--purged", "a")),
    )

    def act(draw: random.Random, here: Path) -> list[str]:
        for place in (root, private):
            shutil.copytree(place, here / place.name)
        one = draw.choice(honest)
        variants = list(json_documents(one.read_bytes(), draw.randrange(1 << 30), 90))
        (here / one.relative_to(folder)).write_bytes(draw.choice(variants)[1])
        words = list(draw.choice(commands))
        is_private = words[0] not in ("info", "index", "pack") and words != ["verify", "to"]
        if is_private and words != ["verify", "to/images/a"]:
            words += ["--private-to", str(here / "private")]
        return command(*(here / word if word.startswith("to") else word for word in words))

    yield act


class _Told(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(self.format(record))


_PATHS = (
    *("/", "/viewer/", "/images/index.json", "/images/a/slide.json", "/images/a/DeepZoom.dzi"),
    *("/desk/", "/desk/api/slides", "/desk/api/slides/a", "/desk/api/session", "/desk/api/set"),
    *("/desk/api/delete", "/desk/api/send", "/desk/api/slides/a/label.jpeg"),
)
_HEADERS = (
    *("Range", "If-None-Match", "If-Range", "Host", "Origin", "Cookie", "Content-Type", "Accept"),
    *("Authorization", "X-CSRF-Token", "Content-Length", "Transfer-Encoding", "Sec-Fetch-Site"),
)


def _request(draw: random.Random, site: Site, token: str) -> bytes:
    method = draw.choice((*("GET", "POST") * 5, "HEAD", "OPTIONS", "PUT", "G\0T", "é"))
    path = draw.choice(_PATHS)
    for _ in range(draw.choice((0, 0, 0, 1, 2))):
        at = draw.randrange(len(path) + 1)
        path = (
            path[:at] + draw.choice((*odd_names.KEYS, "%2e%2e/", "%00", "?", "#", "\\")) + path[at:]
        )
    body = _body(draw)
    host = f"{HOST}:{site.port}"
    headers = {"Host": host, "Connection": "close", "Content-Length": str(len(body))}
    if draw.random() < 0.9:
        headers["Cookie"] = site.cookie
    if draw.random() < 0.7:
        headers |= {"Content-Type": "application/json", "Origin": f"http://{host}"}
        headers |= {"X-CSRF-Token": token, "Sec-Fetch-Site": "same-origin"}
    for name in draw.sample(_HEADERS, draw.choice((0, 0, 1, 3))):
        value = draw.choice(
            (*_NUMBERS, "bytes=0-1,2-3", "bytes=-1", "bytes=5-", "a" * 9000, "*", '"')
        )
        headers[name] = value
    lines = [f"{method} {path} HTTP/1.{draw.choice('1110')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    sent = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body
    return sent[: draw.randrange(len(sent))] if draw.random() < 0.1 else sent


def _body(draw: random.Random) -> bytes:
    """What the desk takes, with something else in the place of a value."""
    if draw.random() < 0.3:
        return draw.choice((b"", b"[" * 100_000, b"\xff\xfe", b"null", b'{"a": 1e999}'))
    odd: tuple[object, ...] = (
        None,
        [],
        {},
        1e300,
        -1,
        "\ud800",
        "a\x1b\u202e",
        "a" * 9000,
        True,
        [[]],
        {"a": {"a": 1}},
    )
    slide: dict[str, object] = {"id": "a", "revision": 1}
    changes: dict[str, object] = {"status": "GOOD", "slide_id": "S1", "case_id": "C1"}
    call: dict[str, object] = {
        "slides": [slide],
        "changes": changes,
        "note": "n",
        "source": False,
    }
    place = draw.choice((call, changes, slide))
    for name in draw.sample(sorted(place), draw.randint(0, 1)):
        place[name] = draw.choice(odd)
    return json.dumps(call).encode()


def _answer(port: int, sent: bytes) -> bytes:
    answer = b""
    with (
        contextlib.suppress(ConnectionError),
        socket.create_connection((HOST, port), timeout=_ANSWER_SECONDS) as connection,
    ):
        connection.sendall(sent)
        if b"\r\n\r\n" not in sent:
            connection.shutdown(socket.SHUT_WR)  # it waits for more
        while (more := connection.recv(1 << 16)) and len(answer) < _MOST_BYTES:
            answer += more
    return answer


class _Lists(http_server.Handler):
    """Answers each list of a bucket by what is drawn, and all else by 404."""

    server: _Bucket

    def do_GET(self) -> None:
        is_list = "list-type" in self.path or "versions" in self.path
        body = self.server.body if is_list else b"<Error><Code>NoSuchKey</Code></Error>"
        self.send_response(200 if is_list else 404)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    do_HEAD = do_GET


class _Bucket(ThreadingHTTPServer):
    daemon_threads = True
    body = b""


@contextlib.contextmanager
def listings(_: Path) -> Iterator[Act]:
    """Lists of a bucket, as S3 or somebody between might give them."""
    with http_server.running(_Bucket((HOST, 0), _Lists)) as server, clock.fake():
        os.environ |= {
            "AWS_ENDPOINT_URL": f"http://{HOST}:{server.server_address[1]}",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

        def act(draw: random.Random, _: Path) -> list[str]:
            server.body = _listing(draw)
            word = draw.choice(("index", "verify", "slides", "refresh"))
            return command(word, "s3://bucket/p")

        yield act


def _listing(draw: random.Random) -> bytes:
    names = draw.choices(
        [*odd_names.FILES, *odd_names.KEYS, "images/a/DeepZoom.dzi", "index.json"], k=4
    )
    items = []
    for name in names:
        key = f"p/images/{name}".encode("utf-8", "surrogateescape")
        key = draw.choice((quote(key).encode(), key, b"", b"/" + key))
        size = draw.choice((*_NUMBERS, "1", "1", "1")).encode()
        when = draw.choice((b"2026-01-01T00:00:00.000Z", b"", b"now", b"9" * 40))
        item = b"<Key>%s</Key><LastModified>%s</LastModified><Size>%s</Size>" % (key, when, size)
        item += draw.choice((b'<ETag>"%s"</ETag>' % (b"a" * 32), b"", b"<ETag/>"))
        items.append(b"<Contents>%s</Contents>" % item)
    encoding = draw.choice((b"<EncodingType>url</EncodingType>", b""))
    truncated = draw.choice((b"false", b"false", b"true", b"", b"maybe"))
    token = draw.choice((b"", b"<NextContinuationToken>x</NextContinuationToken>"))
    body = (
        b"<?xml version='1.0'?>"
        b"<ListBucketResult>%s<IsTruncated>%s</IsTruncated>%s%s%s</ListBucketResult>"
        % (
            encoding,
            truncated,
            token,
            b"".join(items),
            b"<CommonPrefixes><Prefix>p/%s</Prefix></CommonPrefixes>"
            % draw.choice((b"images/", b"", b"\x00")),
        )
    )
    if draw.random() < 0.3:
        at = draw.randrange(len(body))
        body = (
            body[:at]
            + draw.choice((b"", b"\xff", b"<", b"&lol;", b"<!DOCTYPE x>"))
            + body[at + 5 :]
        )
    return body


PLAYS = {
    "slides": Play(1000, slides),
    "archives and SZI": Play(500, archives),
    "requests to serve and desk": Play(2000, requests),
    "lists of a bucket": Play(500, listings),
    "catalogs, slide.json, records, notes": Play(500, documents),
}
