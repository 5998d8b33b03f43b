"""The wheel: what is shipped; and the checks that `make` relies on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from tests.support import audit
from tests.support.coverage_floor import below
from tests.support.docs import ROOT
from tests.support.locks import locked
from tests.support.sanitized import lacking
from tests.support.sbom import licences


def wheel(tmp_path: Path, **environment: str) -> set[str]:
    """The names in a wheel built of a clean copy: what an earlier build left is not in it."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("setup.cfg", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("package.json", "package-lock.json", "THIRD-PARTY.md"):
        shutil.copy(ROOT / name, source)
    for name in ("vsv_pyramid", "tests"):
        built = shutil.ignore_patterns("*.so", "vendor", "__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=built)
    shutil.copy(ROOT / "cli.py", source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path)]
    command.append("--no-build-isolation")
    # Under AddressSanitizer the compiler would take twice as long.
    plain = {key: os.environ[key] for key in os.environ if key != "LD_PRELOAD"}
    subprocess.run([*command, str(source)], check=True, env=plain | environment)
    (path,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def modules() -> set[str]:
    """The package's files, without what a build adds."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "vsv_pyramid").rglob("*")
        if path.suffix in (".py", ".pyi", ".typed", ".html", ".css", ".js", ".svg")
        and path.parent.name != "vendor"
    }


VENDOR = {
    f"vsv_pyramid/pages/viewer/vendor/{name}" for name in ("openseadragon.min.js", "LICENSE.txt")
}


@pytest.mark.long
@pytest.mark.network
def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    names = wheel(tmp_path)
    assert {name.split("/")[0] for name in names} == {"vsv_pyramid", "vsv_pyramid-0.1.0.dist-info"}
    licences = "vsv_pyramid-0.1.0.dist-info/licenses/"
    assert {licences + "LICENSE", licences + "THIRD-PARTY.md"} <= names
    shipped = {name for name in names if name.startswith("vsv_pyramid/")}
    compiled = {name for name in shipped if "/_splice." in name and not name.endswith(".pyi")}
    assert len(compiled) == 1
    assert shipped - compiled == modules() | VENDOR


@pytest.mark.network
def test_without_a_compiler_all_but_the_kernel_is_there(tmp_path: Path) -> None:
    names = wheel(tmp_path, CC="/bin/false")
    assert {name for name in names if name.startswith("vsv_pyramid/")} == modules() | VENDOR


@pytest.mark.network
def test_where_npm_does_not_answer_all_but_openseadragon_is_there(tmp_path: Path) -> None:
    names = wheel(
        tmp_path,
        CC="/bin/false",
        npm_config_cache=str(tmp_path / "npm"),
        npm_config_registry="http://127.0.0.1:9/",
        npm_config_fetch_retries="0",
    )
    assert {name for name in names if name.startswith("vsv_pyramid/")} == modules()


def test_the_coverage_floor_finds_a_file_below_it(tmp_path: Path) -> None:
    report = tmp_path / "coverage.json"
    report.write_text(
        '{"files": {"a.py": {"summary": {"percent_covered": 89.9}},'
        ' "b.py": {"summary": {"percent_covered": 90.0}}}}'
    )
    assert [sentence.split()[0] for sentence in below(report, 90)] == ["a.py"]


def test_a_kernel_without_a_sanitizer_is_told(tmp_path: Path) -> None:
    kernel = tmp_path / "_splice.so"
    kernel.write_bytes(b"\x7fELF...PyInit__splice")
    assert "without AddressSanitizer" in (lacking(kernel) or "")
    kernel.write_bytes(b"\x7fELF...__asan_report_store1")
    assert lacking(kernel) is None


def answered(requirements: Sequence[str], **faults: str) -> str:
    """As pip-audit answers."""
    answers = []
    for name, _, version in (one.partition("==") for one in requirements):
        known = [{"id": faults[name], "fix_versions": ["9"]}] if name in faults else []
        answers.append({"name": name, "version": version, "vulns": known})
    return json.dumps({"dependencies": answers})


def skipped(requirements: Sequence[str]) -> str:
    names = [one.partition("==")[0] for one in requirements]
    return json.dumps(
        {"dependencies": [{"name": one, "skip_reason": "not found"} for one in names]}
    )


PINS = [("numpy", "1"), ("numpy", "2"), ("pillow", "12.1.1")]


def test_an_audit_is_green_only_if_all_was_answered(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(PINS, answered) == 0
    assert capsys.readouterr().out == "3 versions asked for, 0 known faults.\n"


@pytest.mark.parametrize("ask", [skipped, lambda _: "", lambda _: "{}"])
def test_an_audit_without_answers_is_no_green_one(
    ask: audit.Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.main(PINS, ask) == audit.NOT_ASKED
    assert "3 versions could not be asked for" in capsys.readouterr().out


def test_an_audit_names_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(PINS, lambda asked: answered(asked, pillow="PYSEC-1")) == 1
    assert "pillow==12.1.1: PYSEC-1, mended in 9\n" in capsys.readouterr().out


def test_an_audit_asks_for_the_pillow_that_pillow_simd_was_made_of() -> None:
    pins = audit.pins()
    assert "pillow-simd" not in {name for name, _ in pins}
    (lock,) = locked("pillow-simd").values()
    assert ("pillow", lock.version.partition(".post")[0]) in pins


def test_licences_are_what_the_distributions_state() -> None:
    """Those installed here, if they are of the locked version and state theirs as SPDX has it."""
    compared = 0
    for entry in locked("image").values():
        with suppress(PackageNotFoundError):
            stated = distribution(entry.requirement.name)
            expression = stated.metadata.json.get("license_expression")
            if expression and stated.version == entry.version:
                assert licences()[entry.requirement.name] == expression
                compared += 1
    assert compared > 5
