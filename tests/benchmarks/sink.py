"""An S3 server over HTTPS that forgets all bytes: it answers a put at once, or after a delay.

It remembers keys and sizes, to list them. On 127.0.0.1, until it is terminated.
"""

from __future__ import annotations

import argparse
import asyncio
import email.utils
import hashlib
import ssl
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

HOST = "127.0.0.1"
_PAGE = 1000
_ETAG = hashlib.md5(b"").hexdigest()
_LISTED = (
    "<Contents><Key>{}</Key><Size>{}</Size><ETag>&quot;" + _ETAG + "&quot;</ETag>"
    "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
)


class Sink:
    """Keys as `/bucket/key`, with sizes in bytes; a put takes `delay` seconds."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._sizes: dict[str, int] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection's requests."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                method, target, _ = lines[0].split(" ")
                headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
                if headers.get("expect"):
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                size = int(headers.get("content-length", 0))
                if size:
                    await reader.readexactly(size)
                status, body = await self._answer(method, target, headers, size)
                date = email.utils.formatdate(usegmt=True)
                writer.write(
                    f'HTTP/1.1 {status}\r\nETag: "{_ETAG}"\r\nDate: {date}\r\nLast-Modified: {date}'
                    f"\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                )
                writer.write(body if method != "HEAD" else b"")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, method: str, target: str, headers: dict[str, str], size: int
    ) -> tuple[str, bytes]:
        url = urlsplit(target)
        key = unquote(url.path)
        is_bucket = key.strip("/").count("/") == 0
        if method == "PUT":
            if "if-none-match" in headers and key in self._sizes:
                return "412 Precondition Failed", b"<Error><Code>PreconditionFailed</Code></Error>"
            await asyncio.sleep(self._delay)
            # Multipart uploads and chunked signatures are not for what is measured here.
            self._sizes[key] = int(headers.get("x-amz-decoded-content-length", size))
        elif method == "DELETE":
            self._sizes.pop(key, None)
            return "204 No Content", b""
        elif method == "GET" and is_bucket:
            return "200 OK", self._listing(key.rstrip("/") + "/", parse_qs(url.query))
        elif not is_bucket and key not in self._sizes:
            return "404 Not Found", b""
        return "200 OK", b""

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


async def run(certificate: Path, delay: float) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(Sink(delay).serve, HOST, 0, ssl=context, backlog=256)
    print(f"https://{HOST}:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.sink", description=__doc__)
    parser.add_argument("--certificate", type=Path, required=True, help="PEM, with its key")
    parser.add_argument("--delay", type=float, default=0, help="seconds that a put takes")
    options = parser.parse_args()
    asyncio.run(run(options.certificate, options.delay))


if __name__ == "__main__":
    main()
