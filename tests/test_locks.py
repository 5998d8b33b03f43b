"""The locks are of what setup.cfg asks for, and say nothing but versions and hashes."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support import locks
from tests.support.locks import OF_SETUP_CFG, OF_THEIR_OWN, ROOT, locked, own, with_those_below

ALL = (*OF_SETUP_CFG, *OF_THEIR_OWN)
SYSTEMS = {"linux": "posix", "darwin": "posix", "win32": "nt"}
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
# Dates, and a count of repairs: no version of these tells what breaks.
WITHOUT_UPPER_BOUND = {"cryptography", "imagecodecs", "tifffile", "tzdata"}
LINE = re.compile(
    r"-r [\w-]+\.txt"
    r"|[\w.-]+==[\w.]+( ; [\w.<>=!' *()-]+)? \\"
    r"|    --hash=sha256:\w{64}( \\)?"
)


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
    pinned = locked(name).values()
    extras, _ = OF_SETUP_CFG[name]
    for environment in environments():
        for requirement in filter(lambda one: holds(one, environment), asked(extras)):
            (version,) = {
                entry.version
                for entry in pinned
                if canonicalize_name(entry.requirement.name) == canonicalize_name(requirement.name)
                and holds(entry.requirement, environment)
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
