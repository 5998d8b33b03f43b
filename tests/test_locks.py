"""The locks are of what setup.cfg asks for, and say nothing but versions and hashes."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from functools import lru_cache

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support import locks
from tests.support.locks import OF_SETUP_CFG, OF_THEIR_OWN, ROOT, Locked, own, with_those_below
from tests.support.sbom import bom, licences

ALL = (*OF_SETUP_CFG, *OF_THEIR_OWN)
SYSTEMS = {"linux": "posix", "darwin": "posix", "win32": "nt"}
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
# Dates, and a count of repairs: no version of these tells what breaks.
WITHOUT_UPPER_BOUND = {"argon2-cffi", "cryptography", "imagecodecs", "tifffile", "tzdata"}
LINE = re.compile(
    r"-r [\w-]+\.txt"
    r"|[\w.-]+==[\w.]+( ; [\w.<>=!' *()-]+)? \\"
    r"|    --hash=sha256:\w{64}( \\)?"
)

locked = lru_cache(locks.locked)


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def asked(extras: tuple[str, ...]) -> Iterator[Requirement]:
    """What the package asks for, and of extras also what they take of others."""
    parser = setup_cfg()
    texts = parser["options"]["install_requires"]
    for extra in extras:
        texts += parser["options.extras_require"][extra]
    for text in filter(None, texts.splitlines()):
        requirement = Requirement(text)
        if requirement.name == "vsv-pyramid":
            yield from asked(tuple(requirement.extras))
        else:
            yield requirement


def environments() -> Iterator[dict[str, str]]:
    for system, name in SYSTEMS.items():
        for python in PYTHONS:
            yield {
                **{key: str(value) for key, value in default_environment().items()},
                "sys_platform": system,
                "os_name": name,
                "python_version": python,
                "python_full_version": f"{python}.1",
            }


def holds(requirement: Requirement, environment: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(environment)


@pytest.mark.parametrize("name", OF_SETUP_CFG)
def test_a_lock_has_what_setup_cfg_asks_for(name: str) -> None:
    """Everywhere one version, of the range."""
    extras, _ = OF_SETUP_CFG[name]
    wanted = tuple(asked(extras))
    pinned: dict[str, list[Locked]] = {}
    for entry in locked(name).values():
        pinned.setdefault(canonicalize_name(entry.requirement.name), []).append(entry)
    for environment in environments():
        for requirement in wanted:
            if not holds(requirement, environment):
                continue
            (version,) = {
                entry.version
                for entry in pinned[canonicalize_name(requirement.name)]
                if holds(entry.requirement, environment)
            }
            assert requirement.specifier.contains(version), requirement


@pytest.mark.parametrize("name", OF_THEIR_OWN)
def test_a_lock_has_what_its_list_asks_for(name: str) -> None:
    pinned = {canonicalize_name(one.requirement.name): one.version for one in locked(name).values()}
    lines = locks.path(name, ".in").read_text(encoding="utf-8").splitlines()
    for requirement in (Requirement(line) for line in lines if not line.startswith("#")):
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)])


@pytest.mark.parametrize("name", ALL)
def test_a_lock_has_versions_and_hashes_only(name: str) -> None:
    """And so no address from which they are to come."""
    text = locks.path(name).read_text(encoding="utf-8")
    assert not [line for line in text.splitlines() if not LINE.fullmatch(line)]
    assert all(entry.hashes for entry in own(text).values())


def test_locks_that_are_installed_together_agree() -> None:
    for environment in environments():
        seen: dict[str, str] = {}
        for name in ("bench", "fuzz", "image", "build"):
            for entry in locked(name).values():
                if not holds(entry.requirement, environment):
                    continue
                key = canonicalize_name(entry.requirement.name)
                assert seen.setdefault(key, entry.version) == entry.version, key


def test_there_is_no_other_lock() -> None:
    assert {path.stem for path in (ROOT / locks.FOLDER).glob("*.txt")} == set(ALL)
    assert set(with_those_below("fuzz")) == {"fuzz", "dev", "image", "test", "build", "run"}


def test_a_requirement_has_both_bounds() -> None:
    for requirement in asked(("barcode",)):
        operators = {specifier.operator for specifier in requirement.specifier}
        bounds = {">="} if requirement.name in WITHOUT_UPPER_BOUND else {">=", "<"}
        assert operators == bounds or requirement.name == "tzdata", requirement


def test_each_part_of_the_image_has_its_licence() -> None:
    """And nothing is named that is not installed anywhere."""
    named = {entry.requirement.name for entry in locked("image").values()}
    assert licences().keys() == named | {"pillow-simd"}


def test_the_parts_of_the_image_are_listed() -> None:
    parts = {part["name"]: part for part in bom()["components"]}
    assert {"openslide-bin", "pillow-simd", "awslambdaric", "openseadragon"} <= parts.keys()
    assert not {"pillow", "tzdata", "exceptiongroup"} & parts.keys()  # of other systems
    assert parts["simplejpeg"]["licenses"] == [{"license": {"id": "MIT"}}]
    assert "LGPL-2.1-only" in parts["openslide-bin"]["licenses"][0]["expression"]
    assert all(
        re.fullmatch(r"pkg:(pypi|npm)/[\w.-]+@[\w.]+", one["purl"]) for one in parts.values()
    )
