"""The house: rooms on floors, of which each knows only what is below it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import vsv_pyramid

HOUSE = Path(vsv_pyramid.__file__).parent
# From the top. A room knows no other one of its own floor.
FLOORS = (
    {"__main__"},
    {"cli"},
    {"web", "purging"},
    {"unattended"},
    {"conversion", "inspection", "verification", "renewal", "deletion", "repacking"},
    {"places"},
    {"review"},
    {"planning", "removal"},
    {"catalog", "pyramid"},
    {"publication", "destination", "catalog_json", "pages"},
    {"slide_json", "packed"},
    {"slide", "store"},
    {"containers"},
    {"facts", "layout", "jpeg", "aws", "versions"},
    {"errors", "runtime", "words"},
)
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor}
MOST_FLAT = 16
LEAST_FILES = 3  # of a folder


def modules() -> dict[str, Path]:
    """All modules by their names, without the package's."""
    found = {}
    for path in HOUSE.rglob("*.py"):
        parts = path.relative_to(HOUSE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(path: Path) -> Iterator[str]:
    """The package's modules that a module imports, early or late."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} is relative"
            named = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in named:
            head, _, rest = name.partition(".")
            if head == "vsv_pyramid" and rest:
                yield rest if rest in MODULES else rest.rpartition(".")[0]


def room(module: str) -> str:
    return module.partition(".")[0]


IMPORTS = {
    module: {other for other in imported(path) if other}
    for module, path in MODULES.items()
    if module
}


def test_imports_go_down() -> None:
    assert {room(module) for module in IMPORTS} == FLOOR.keys()
    up = {
        f"{module} imports {other}"
        for module, others in IMPORTS.items()
        for other in others
        if room(other) != room(module) and FLOOR[room(other)] <= FLOOR[room(module)]
    }
    assert not up


def test_modules_make_no_circle() -> None:
    way: list[str] = []
    done: set[str] = set()

    def visit(module: str) -> None:
        assert module not in way, " -> ".join([*way[way.index(module) :], module])
        if module not in done:
            way.append(module)
            for other in sorted(IMPORTS.get(module, ())):
                visit(other)
            done.add(way.pop())

    for module in IMPORTS:
        visit(module)


def test_few_files_lie_flat_and_folders_hold_several() -> None:
    flat = [path.name for path in HOUSE.glob("*.py")]
    assert len(flat) <= MOST_FLAT, sorted(flat)
    for folder in filter(Path.is_dir, HOUSE.iterdir()):
        if (
            folder / "__init__.py"
        ).exists() and folder.name != "pages":  # of which most is no Python
            assert len(list(folder.glob("*.py"))) > LEAST_FILES - 1, folder


def test_the_street_is_in_contributing() -> None:
    """In its order, room by room."""
    text = (HOUSE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    street = text[text.index("## The street") :]
    places = [[street.index(f"`{room}`") for room in floor] for floor in FLOORS]
    assert all(max(upper) < min(lower) for upper, lower in pairwise(places))


def test_what_contributing_names_is_there() -> None:
    root = HOUSE.parent
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:vsv_pyramid|tests|docs|cloudformation|batch)/[\w./-]*)`", text)
    assert len(named) > 30
    assert not [path for path in named if not (root / path).exists()]


@pytest.mark.parametrize("room", sorted(FLOOR))
def test_contributing_names_the_files_of_each_room(room: str) -> None:
    """Those of a folder, but for its front door."""
    text = (HOUSE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    street = text[text.index("## The street") : text.index("### The way")]
    start = street.index(f"`{room}`")
    part = street[start : street.find("    `", start + 1)]
    for path in (HOUSE / room).glob("*.py"):
        assert path.name == "__init__.py" or re.search(rf"\b{path.stem}\b", part), path.name


def test_one_module_has_pillow_open_files() -> None:
    """Pillow-SIMD lags behind Pillow's repairs: docs/security.md lists what bytes it sees."""
    ways = re.compile(
        r"\b(?:Image\.(?:open|frombytes|frombuffer|core)|ImageFile\.|ImageSlide\(|PIL\.\w+Plugin|"
        r"from PIL import [^\n]*Plugin)"
    )
    found = {name: ways.findall(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}
    assert {name for name, uses in found.items() if uses} == {"slide.decoding", "slide.plain"}
    # Of an image that is decoded already.
    assert found["slide.plain"] == ["ImageSlide("]
