"""What other programs may import: it is there, its examples run, and nothing else is promised."""

from __future__ import annotations

import ast
import inspect
import shutil
import subprocess
import sys
from operator import attrgetter
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import vsv_pyramid
from tests.support import docs
from vsv_pyramid import errors
from vsv_pyramid.conversion import listing
from vsv_pyramid.conversion.listing import published_document
from vsv_pyramid.destination import Destination

# In this order: each goes on with what the one before has left.
EXAMPLES = (
    *("ConvertOptions", "S3Options", "info", "convert", "Progress", "verify", "open_store"),
    *("rebuild_catalog", "delete"),
)


@pytest.fixture
def here(real_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(real_slide, tmp_path / "170782.svs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def example(text: str | None) -> str:
    """The indented lines of a docstring that an empty one sets apart."""
    lines = inspect.cleandoc(text or "").splitlines()
    return dedent("\n".join(line for line in lines if line.startswith("    ") or not line))


def test_what_is_listed_is_there() -> None:
    listed = vsv_pyramid.__all__
    assert listed == sorted(set(listed))
    assert set(dir(vsv_pyramid)) == set(listed)
    for name in listed:
        assert getattr(vsv_pyramid, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'make_plan'"):
        attrgetter("make_plan")(vsv_pyramid)
    tree = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.VsvPyramidError)
    }
    assert tree <= set(listed)


def test_a_type_checker_sees_the_same() -> None:
    source = Path(vsv_pyramid.__file__).read_text(encoding="utf-8")
    (checked,) = (node for node in ast.parse(source).body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {
        name: f"vsv_pyramid.{module}" for name, module in vsv_pyramid._MODULE_OF.items()
    }
    assert seen.keys() == set(vsv_pyramid.__all__)


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    code = "import sys, vsv_pyramid; print(*sorted(n for n in sys.modules if 'vsv_pyramid.' in n))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


def test_the_examples_of_the_docstrings(here: Path) -> None:
    names = {name: getattr(vsv_pyramid, name) for name in vsv_pyramid.__all__}
    for name in EXAMPLES:
        code = example(names[name].__doc__)
        assert f"{name}(" in code or name == "Progress", name
        exec(compile(code, name, "exec"), names)
    assert not (here / "www/images/170782").exists()


def test_each_function_says_what_it_raises_and_each_class_what_it_holds() -> None:
    for name in vsv_pyramid.__all__:
        kind = getattr(vsv_pyramid, name)
        assert inspect.getdoc(kind), name
        if inspect.isfunction(kind):
            assert "Raises" in str(kind.__doc__), name
            assert "return" in inspect.get_annotations(kind), name


@pytest.mark.parametrize(
    "page", [page for page in docs.PAGES if docs.blocks(page, "python")], ids=lambda page: page.stem
)
def test_the_examples_of_the_pages(page: Path, here: Path) -> None:
    names: dict[str, object] = {}
    for block in docs.blocks(page, "python"):
        exec(compile(block, page.name, "exec"), names)
    assert (here / "www/images/170782/DeepZoom.dzi").exists() or page.stem == "library"


def test_the_example_of_the_package(here: Path) -> None:
    exec(example(vsv_pyramid.__doc__), {})
    assert (here / "www/images/170782/DeepZoom.dzi").exists()


def test_what_is_no_id_is_not_deleted(here: Path) -> None:
    with pytest.raises(errors.OptionError, match="cannot be an id; the catalog lists"):
        vsv_pyramid.delete("www", "../x")


def test_a_pyramid_that_was_removed_by_hand_is_deleted_whole(here: Path) -> None:
    """Its entry in the catalog, too, of which nobody else knows."""
    options = vsv_pyramid.ConvertOptions(private_to="kept")
    vsv_pyramid.convert("170782.svs", "www", options)
    shutil.rmtree("www/images/170782")
    assert vsv_pyramid.delete("www", "170782", private_to="kept") == 0
    assert "170782" not in Path("www/images/index.json").read_text(encoding="utf-8")
    assert not list(Path("kept/private/images").glob("170782*"))


def test_a_private_place_gets_no_catalog(here: Path) -> None:
    vsv_pyramid.convert("170782.svs", "www", vsv_pyramid.ConvertOptions(private_to="kept"))
    listed = Path("kept/private/images/index.json").read_bytes()
    with pytest.raises(errors.OptionError, match="is in the private place"):
        vsv_pyramid.rebuild_catalog(vsv_pyramid.open_store("kept/private"))
    assert Path("kept/private/images/index.json").read_bytes() == listed


@pytest.mark.parametrize("key", ["../x", "images/../../x", "..", "/x", "/tmp/x"])
def test_a_key_leads_out_of_no_folder(here: Path, key: str) -> None:
    store = vsv_pyramid.open_store("www")
    for call in (lambda: store.put(key, b""), lambda: store.get(key), lambda: store.delete(key)):
        with pytest.raises(errors.StoreError, match="leads out of it"):
            call()
    assert not Path("x").exists()


@pytest.mark.parametrize(
    "options",
    [{"sse": "x"}, {"checksum": "md5"}, {"request_payer": "me"}, {"max_put_rate": 0}],
)
def test_what_s3_does_not_know_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(errors.OptionError, match="is refused; give "):
        vsv_pyramid.S3Options(**options)


@pytest.mark.parametrize(
    "options", [{"sample": 3}, {"deep": True, "sample": 0}, {"deep": True, "workers": 0}]
)
def test_what_cannot_be_verified_so(here: Path, options: dict[str, Any]) -> None:
    vsv_pyramid.convert("170782.svs", "www")
    with pytest.raises(errors.OptionError):
        vsv_pyramid.verify("www/images/170782", **options)
    assert not vsv_pyramid.verify("www/images/170782", deep=True, progress=None).errors


def test_slide_json_that_vanishes_amid_a_conversion_is_told(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(store: Destination, folder: str) -> dict[str, Any]:
        store.delete(f"{folder}/slide.json")
        return published_document(store, folder)

    monkeypatch.setattr(listing, "published_document", gone)
    options = vsv_pyramid.ConvertOptions(private_to="kept")
    with pytest.raises(errors.NoSuchObject, match="is published, but not recorded"):
        vsv_pyramid.convert("170782.svs", "www", options)
