"""The snippet of docs/viewing.md for nginx gives out what is published, and nothing else."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.nginx import nginx, readable
from tests.support.s3_server import HOST, free_ports
from tests.support.site import Site
from vsv_pyramid import pages
from vsv_pyramid.conversion import convert
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.store import open_store

DOCUMENT = Path(__file__).parents[2] / "docs/viewing.md"
PACKED = f"DeepZoom-{'0' * 32}.szi"
IMMUTABLE = "public, max-age=31536000, immutable"


@pytest.fixture(scope="module")
def site(small_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("nginx")
    root = folder / "www"
    convert(small_slide, str(root), ConvertOptions())
    shutil.copy(root / "images/small/thumbnail.jpeg", root / "images/small/label.jpeg")
    (root / "images/small" / PACKED).write_bytes(b"a packed slide")
    pages.publish(open_store(str(root)))
    (root / "secret.json").write_text("{}")
    former = root / ".private/images/small"  # as it was before there were private places
    former.mkdir(parents=True)
    for name in ("slide.private.json", "label.jpeg"):
        (former / name).write_bytes(b"private")
    readable(folder)
    (found,) = re.findall(r"```nginx\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    (port,) = free_ports(1)
    server = found.replace("listen 80", f"listen {HOST}:{port}").replace("/srv/www", str(root))
    with nginx(server, port) as site:
        yield site


@pytest.mark.parametrize(
    ("path", "kind", "kept"),
    [
        ("images/small/DeepZoom.dzi", "application/xml", "no-cache"),
        ("images/small/slide.json", "application/json", "no-cache"),
        ("images/small/DeepZoom_files/11/0_0.jpeg", "image/jpeg", IMMUTABLE),
        ("images/small/thumbnail.jpeg", "image/jpeg", IMMUTABLE),
        (f"images/small/{PACKED}", "application/zip", IMMUTABLE),
        ("images/small/label.jpeg", "image/jpeg", "no-cache"),
        ("images/index.json", "application/json", "no-cache"),
        ("viewer/", "text/html", "no-cache"),
        ("viewer/gallery/index.html", "text/html", "no-cache"),
        ("viewer/viewer.js", "text/javascript", "no-cache"),
        ("viewer/style.css", "text/css", "no-cache"),
        ("viewer/icons.svg", "image/svg+xml", "no-cache"),
    ],
)
def test_what_is_published(site: Site, path: str, kind: str, kept: str) -> None:
    answer = site.ask(f"/{path}")
    assert answer.status == 200
    assert (answer.headers["Content-Type"], answer.headers["Cache-Control"]) == (kind, kept)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "secret.json",
        ".private/images/small/slide.private.json",
        "images/../.private/images/small/slide.private.json",
        "images/%2e%2e/.private/images/small/slide.private.json",
        "images//..//.private/images/small/label.jpeg",
        "viewer/../.private/images/small/label.jpeg",
        ".leases/images/small",
        "images/.small.lock",
    ],
)
def test_and_nothing_else(site: Site, path: str) -> None:
    assert site.ask(f"/{path}").status == 404
