"""An S3 server over HTTPS that forgets images: it answers a put at once, or after a delay.

It remembers JSON documents, which are read again, and of all else keys and sizes, to list them. On
127.0.0.1, until it is terminated.
"""

from __future__ import annotations

import argparse
import email.utils
import hashlib
import re
import socketserver
import ssl
import time
from io import BufferedIOBase
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

import trustme

HOST = "127.0.0.1"
_PAGE = 1000
_ETAG = hashlib.md5(b"").hexdigest()
_LISTED = (
    "<Contents><Key>{}</Key><Size>{}</Size><ETag>&quot;" + _ETAG + "&quot;</ETag>"
    "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
)


class Sink(socketserver.ThreadingTCPServer):
    """Keys as `/bucket/key`, with sizes in bytes; a put takes `delay` seconds."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, context: ssl.SSLContext, delay: float) -> None:
        super().__init__((HOST, 0), _Connection)
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )
        self._delay = delay
        self._sizes: dict[str, int] = {}
        self._documents: dict[str, bytes] = {}
        self._parts: dict[str, int] = {}

    def answer(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[str, bytes]:
        """Status and body for a request."""
        url = urlsplit(target)
        key = unquote(url.path)
        query = parse_qs(url.query, keep_blank_values=True)
        is_bucket = key.strip("/").count("/") == 0
        if "uploads" in query or "uploadId" in query:
            return "200 OK", self._in_parts(method, key, query, len(body))
        if method == "PUT":
            if "if-none-match" in headers and key in self._sizes:
                return "412 Precondition Failed", b"<Error><Code>PreconditionFailed</Code></Error>"
            time.sleep(self._delay)
            # boto3's body is chunks itself, with a checksum behind them.
            self._sizes[key] = int(headers.get("x-amz-decoded-content-length", len(body)))
            if key.endswith(".json"):
                self._documents[key] = body
        elif method == "DELETE":
            self._sizes.pop(key, None)
            return "204 No Content", b""
        elif method == "POST":  # deletes several keys
            names = re.findall("<Key>(.*?)</Key>", body.decode())
            for name in names:
                self._sizes.pop(key.rstrip("/") + "/" + unescape(name), None)
            deleted = "".join(f"<Deleted><Key>{name}</Key></Deleted>" for name in names)
            return "200 OK", f"<DeleteResult>{deleted}</DeleteResult>".encode()
        elif method == "GET" and is_bucket:
            return "200 OK", self._listing(key.rstrip("/") + "/", query)
        elif not is_bucket and key not in self._sizes:
            return "404 Not Found", b"<Error><Code>NoSuchKey</Code></Error>"
        return "200 OK", self._documents.get(key, b"") if method == "GET" else b""

    def _in_parts(self, method: str, key: str, query: dict[str, list[str]], size: int) -> bytes:
        """What is answered about an object that comes in parts; no upload is remembered."""
        if method == "PUT":
            time.sleep(self._delay)
            self._parts[key] = self._parts.get(key, 0) + size
        elif method == "GET":
            return b"<ListMultipartUploadsResult></ListMultipartUploadsResult>"
        elif method == "POST" and "uploads" in query:
            self._parts[key] = 0
            begun = "InitiateMultipartUploadResult"
            return f"<{begun}><UploadId>1</UploadId></{begun}>".encode()
        elif method == "POST":
            self._sizes[key] = self._parts[key]
            done = f"<CompleteMultipartUploadResult><ETag>&quot;{_ETAG}&quot;</ETag>"
            return f"{done}</CompleteMultipartUploadResult>".encode()
        return b""

    def _listing(self, bucket: str, query: dict[str, list[str]]) -> bytes:
        prefix = bucket + query.get("prefix", [""])[0]
        after = query.get("continuation-token", [""])[0]
        found = sorted(key for key in self._sizes if key.startswith(prefix) and key > after)
        page = found[:_PAGE]
        listed = "".join(
            _LISTED.format(escape(key.removeprefix(bucket)), self._sizes[key]) for key in page
        )
        more = len(found) > len(page)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        return (
            f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}"
            f"<KeyCount>{len(page)}</KeyCount>{listed}</ListBucketResult>"
        ).encode()


class _Connection(socketserver.StreamRequestHandler):
    """One connection's requests."""

    server: Sink
    rbufsize = 1 << 18

    def handle(self) -> None:
        try:
            while request := self.rfile.readline():
                method, target, _ = request.decode("latin-1").split(" ")
                headers: dict[str, str] = {}
                while (line := self.rfile.readline().decode("latin-1").strip()) != "":
                    name, _, value = line.partition(":")
                    headers[name.lower()] = value.strip()
                if "expect" in headers:
                    self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                sent = _body(self.rfile, headers)
                status, body = self.server.answer(method, target, headers, sent)
                date = email.utils.formatdate(usegmt=True)
                head = (
                    f'HTTP/1.1 {status}\r\nETag: "{_ETAG}"\r\nDate: {date}\r\nLast-Modified: {date}'
                    f"\r\nContent-Length: {len(body)}\r\n\r\n"
                )
                self.wfile.write(head.encode() + (body if method != "HEAD" else b""))
        except (ConnectionError, ssl.SSLError):
            pass


def _body(stream: BufferedIOBase, headers: dict[str, str]) -> bytes:
    """The request's body."""
    if headers.get("transfer-encoding") != "chunked":
        return stream.read(int(headers.get("content-length", 0)))
    chunks = []
    while chunk := int(stream.readline(), 16):
        chunks.append(stream.read(chunk + 2)[:-2])
    stream.readline()
    return b"".join(chunks)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.sink", description=__doc__)
    parser.add_argument(
        "--authority", type=Path, required=True, help="file to write, by which clients trust it"
    )
    parser.add_argument("--delay", type=float, default=0, help="seconds that a put takes")
    options = parser.parse_args()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority = trustme.CA()
    authority.issue_cert(HOST).configure_cert(context)
    authority.cert_pem.write_to_path(str(options.authority))
    with Sink(context, options.delay) as server:
        print(f"https://{HOST}:{server.server_address[1]}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
