"""Names that are not what they seem, and a bucket that lists any key, as Amazon's would."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from http.server import ThreadingHTTPServer
from urllib.parse import parse_qs, quote, urlsplit

from tests.support import http_server
from tests.support.http_server import HOST

# What a POSIX file system takes as a file's name.
FILES = (
    "a\nb",
    "a\rb",
    "a\tb",
    "a\x1b[2Jb",
    "a\x7fb",
    "a\x85b",
    "a\u2028b",
    "a\u202eb",
    "a\u2066b",
    "a\\b",
    "a\udcffb",
)
# What a bucket takes as a key, too, or what servers say that it is.
KEYS = ("x//y", "x/../y", "x/./y", "../y", "x/..", "/y", "n" * 300, "a\x01b", "a\x00b")

_DOCUMENT = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name>
<Prefix></Prefix><KeyCount>{count}</KeyCount><MaxKeys>1000</MaxKeys>
{encoding}<IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"""
_CONTENTS = """<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>
<ETag>"b1946ac92492d2347c6235b4d2611184"</ETag><Size>{size}</Size></Contents>"""


class Bucket(ThreadingHTTPServer):
    """`keys` are those of each bucket; `contents`, where there are any, the list as it is."""

    daemon_threads = True
    keys: Sequence[str] = ()
    contents = ""

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_address[1]}"


class _Handler(http_server.Handler):
    server: Bucket

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        as_url = "encoding-type" in asked
        keys = [key for key in self.server.keys if key.startswith(asked.get("prefix", [""])[0])]
        body = _DOCUMENT.format(
            count=len(keys),
            encoding="<EncodingType>url</EncodingType>" if as_url else "",
            contents=self.server.contents
            or "".join(
                _CONTENTS.format(key=quote(key) if as_url else _in_xml(key), size=size)
                for size, key in enumerate(keys)
            ),
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _in_xml(key: str) -> str:
    """As S3 writes it, though no parser of XML 1.0 has to take it."""
    return "".join(f"&#x{ord(each):x};" if ord(each) < 32 or each in "&<" else each for each in key)


@contextlib.contextmanager
def listed() -> Iterator[Bucket]:
    """A server that answers nothing but lists."""
    with http_server.running(Bucket((HOST, 0), _Handler)) as server:
        yield server
