"""The viewer's page as files: what it holds, and how it is published."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.cli.test_cli import assert_one_sentence
from tests.conftest import Run
from tests.support.s3_server import BUCKET, Place
from vsv_pyramid import pages
from vsv_pyramid.errors import StoreError
from vsv_pyramid.store import open_store
from vsv_pyramid.web.app import CONTENT_SECURITY_POLICY

TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
OWN = [name for name in pages.files() if not name.startswith("vendor/")]


def test_pages_come_after_what_they_are_made_with() -> None:
    names = pages.files()
    assert names[-2:] == ["gallery/index.html", "index.html"]
    assert {"viewer.js", "style.css", "vendor/openseadragon.min.js", "vendor/LICENSE.txt"} < {
        *names
    }


@pytest.mark.parametrize("name", OWN)
def test_nothing_leads_elsewhere(name: str) -> None:
    """Every reference is to a file of the page, wherever it is published."""
    path = pages.VIEWER / name
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\s\"']*", text)) <= {"http://www.w3.org/2000/svg"}
    for reference in re.findall(r'(?:href|src)="([^"#]+)|from "([^"]+)"', text):
        assert (path.parent / "".join(reference)).is_file(), reference


@pytest.mark.parametrize("name", ["index.html", "gallery/index.html"])
def test_the_policy_of_the_page_is_that_of_the_server(name: str) -> None:
    """But for the frames it may be in, of which only a header can tell."""
    text = (pages.VIEWER / name).read_text(encoding="utf-8")
    (policy,) = re.findall(r'"Content-Security-Policy" content="([^"]*)"', text)
    assert f"{policy}; frame-ancestors 'self'" == CONTENT_SECURITY_POLICY
    assert "unsafe" not in policy
    assert not re.findall(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", text)


def test_it_is_published_beside_the_images(run: Run, place: Place) -> None:
    outcome = run("viewer", "--to", place)
    assert outcome.out == f"{len(pages.files())} files -> {place}/viewer/index.html\n"
    assert {key.removeprefix("viewer/") for key in place.objects()} == set(pages.files())
    client = place.server.client()
    for name in pages.files():
        found = client.get_object(Bucket=BUCKET, Key=f"{place.prefix}/viewer/{name}")
        assert found["ContentType"] == TYPES[name.rpartition(".")[2]]
        assert found["CacheControl"] == "no-cache"
        assert found["Body"].read() == (pages.VIEWER / name).read_bytes()
    assert run("viewer", "--to", "here").code == 0
    assert Path("here/viewer/gallery/index.html").is_file()
    assert run("viewer", "--to", "here/").out.endswith("-> here/viewer/index.html\n")


def test_a_page_without_openseadragon_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html>")
    with pytest.raises(StoreError, match=r"npm did not answer .*; install it again"):
        pages.publish(open_store(str(tmp_path / "to")), tmp_path)
    assert not (tmp_path / "to").exists()


def test_an_archive_takes_no_page(run: Run) -> None:
    outcome = run("viewer", "--to", "a.zip")
    assert outcome.code == 1
    assert_one_sentence(outcome.err)
    assert not Path("a.zip").exists()


@pytest.mark.parametrize("name", ["index.html", "gallery/index.html"])
@pytest.mark.parametrize("where", ["folder", "bucket"])
def test_another_page_stays(
    run: Run, request: pytest.FixtureRequest, tmp_path: Path, name: str, where: str
) -> None:
    to = str(tmp_path / "to" if where == "folder" else request.getfixturevalue("place"))
    open_store(to).put(f"viewer/{name}", b"<!doctype html><title>My site</title>")
    outcome = run("viewer", "--to", to)
    assert outcome.code == 1
    assert f"{to}/viewer/{name}: is another page than this program's; publish" in outcome.err
    assert list(open_store(to).keys("viewer/"))[1:] == []
    assert run("viewer", "--to", to, "--overwrite").code == 0
    assert run("viewer", "--to", to).code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few users make links")
@pytest.mark.parametrize("name", ["viewer", "viewer/gallery", "viewer/vendor"])
def test_a_link_in_its_place_is_named(run: Run, tmp_path: Path, name: str) -> None:
    link = tmp_path / "to" / name
    link.parent.mkdir(parents=True)
    (tmp_path / "site").mkdir()
    link.symlink_to(tmp_path / "site")
    outcome = run("viewer", "--to", tmp_path / "to")
    assert outcome.code == 1
    assert f"{link}: is a link, to {tmp_path / 'site'}; publish elsewhere" in outcome.err
    assert list((tmp_path / "site").iterdir()) == []
    assert run("viewer", "--to", tmp_path / "to", "--overwrite").code == 0
    assert link.is_symlink()
    assert list((tmp_path / "site").iterdir())
