"""What other programs may import: it is there, its examples run, and nothing else is promised."""

from __future__ import annotations

import ast
import inspect
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import vsv_pyramid
from tests.support import docs
from vsv_pyramid import errors

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
        vsv_pyramid.make_plan  # noqa: B018
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
