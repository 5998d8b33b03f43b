"""The container's image: what its Dockerfile names is there. `make image` runs its steps."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path, PurePosixPath

import pytest

from tests.support.dockerfile import DOCKERFILE, ROOT, stages

BUILD, FINAL = stages(DOCKERFILE.read_text(encoding="utf-8"))
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def sources() -> list[str]:
    """What the image takes from this tree."""
    return [word for step in BUILD.of("COPY") for word in step.words[:-1]]


def copied() -> set[str]:
    """The files of this tree that have a place in the final image, by their paths there."""
    return {
        f"{step.words[-1].rstrip('/')}/{PurePosixPath(word).name}"
        for step in BUILD.of("COPY")
        for word in step.words[:-1]
        if step.words[-1].startswith("/opt/vsv-pyramid/")
    }


@pytest.mark.parametrize("source", sources())
def test_what_is_copied_is_there(source: str) -> None:
    assert (ROOT / source).exists()
    allowed = [pattern[1:] for pattern in IGNORED if pattern.startswith("!")]
    assert any(fnmatch.fnmatch(source, pattern) for pattern in allowed)


@pytest.mark.skipif(not shutil.which("make"), reason="make package needs make")
def test_the_package_has_it_all(tmp_path: Path) -> None:
    command = ["make", "--silent", "package", f"PACKAGE={tmp_path / 'aws'}"]
    subprocess.run(command, cwd=ROOT, check=True)
    templates = {path.name for path in (ROOT / "cloudformation").glob("*.yaml")}
    assert {path.name for path in (tmp_path / "aws").iterdir()} == templates | {"image.tar.gz"}
    with tarfile.open(tmp_path / "aws/image.tar.gz") as packed:
        assert all(member.isfile() for member in packed)
        names = set(packed.getnames())
    folders = {str(folder) for name in names for folder in PurePosixPath(name).parents}
    assert {*sources(), "batch/Dockerfile"} <= names | folders
    assert not [name for name in names if name.endswith(".so") or "vendor" in name]


def test_nothing_but_the_build_is_copied_over() -> None:
    assert [(step.option("from"), step.words) for step in FINAL.of("COPY")] == [
        (BUILD.name, ["/opt/vsv-pyramid", "/opt/vsv-pyramid"])
    ]


def test_setup_py_finds_what_it_reads() -> None:
    needed = {"setup.py", "setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"}
    assert needed | {"package.json", "package-lock.json", "vsv_pyramid"} <= set(sources())


def test_the_entry_point_is_there() -> None:
    (entry,) = FINAL.of("ENTRYPOINT")
    python, script = entry.words
    assert python == "/opt/vsv-pyramid/bin/python"
    assert script in copied()
    assert "/opt/vsv-pyramid/batch/lambda_handler.py" in copied()
    (folder,) = FINAL.of("WORKDIR")
    assert folder.words == [str(PurePosixPath(script).parent)]


def test_it_does_not_run_as_root() -> None:
    (user,) = FINAL.of("USER")
    assert int(user.words[0]) >= 1000
    names = [step.name for step in FINAL.steps]
    assert names.index("USER") < names.index("ENTRYPOINT")


def test_it_is_tried_while_it_is_built() -> None:
    last = FINAL.of("RUN")[-1]
    assert last.text == "vsv-pyramid --version"


def test_all_that_it_installs_is_locked() -> None:
    """Or comes from this tree, and needs nothing else."""
    installing = [
        command
        for step in BUILD.of("RUN")
        for command in step.text.split(" && ")
        if re.search(r"pip (install|wheel) ", command)
    ]
    assert len(installing) == 5
    for command in installing:
        assert "--require-hashes" in command or "--no-deps" in command
        assert "pip wheel " not in command or "--no-build-isolation" in command
    assert re.findall(r"locks/([\w-]+)\.txt", " ".join(installing)) == [
        "image",
        "build",
        "pillow-simd",
    ]


def test_pillow_simd_comes_last() -> None:
    steps = [step.text for step in BUILD.of("RUN")]
    (at,) = [at for at, text in enumerate(steps) if "pip uninstall --yes pillow " in text]
    assert "locks/pillow-simd.txt" in steps[at] and "--wheel-dir /build/wheels" in steps[at]
    assert steps[-1].endswith("--no-deps /build/wheels/*.whl")


def test_its_base_is_named_by_a_digest() -> None:
    (base,) = re.findall(r"^BASE := (\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert re.fullmatch(rf"{base}@sha256:[0-9a-f]{{64}}", BUILD.image)


@pytest.mark.skipif(not shutil.which("make"), reason="make base needs make")
def test_make_base_writes_the_digest(tmp_path: Path) -> None:
    """As a stand-in for Docker says it; it can be done again."""
    digest = "sha256:" + 64 * "a"
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\necho {digest}\n")
    docker.chmod(0o755)
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "batch").mkdir()
    shutil.copy(DOCKERFILE, tmp_path / "batch")
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    for _ in range(2):
        subprocess.run(["make", "-s", "base"], cwd=tmp_path, check=True, env={"PATH": path})
    found = stages((tmp_path / "batch/Dockerfile").read_text(encoding="utf-8"))
    assert {stage.image for stage in found} == {f"{BUILD.image.partition('@')[0]}@{digest}"}


@pytest.mark.skipif(not shutil.which("make"), reason="make base needs make")
def test_make_base_changes_nothing_where_no_registry_answers(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nexit 1\n")
    docker.chmod(0o755)
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "batch").mkdir()
    shutil.copy(DOCKERFILE, tmp_path / "batch")
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(["make", "-s", "base"], cwd=tmp_path, env={"PATH": path})
    assert done.returncode
    assert (tmp_path / "batch/Dockerfile").read_bytes() == DOCKERFILE.read_bytes()


def test_it_knows_time_zones() -> None:
    """Python's own come with the package tzdata of PyPI only."""
    (installing,) = (step.text for step in FINAL.of("RUN") if "apt-get install" in step.text)
    assert " tzdata " in installing


def test_both_stages_are_of_one_system() -> None:
    assert BUILD.image == FINAL.image


def test_an_instruction_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="ADD"):
        stages("FROM a\nADD b c\n")


def test_lines_that_go_on() -> None:
    (stage,) = stages("# x\nARG X=a\nFROM $X AS b\nRUN c \\\n && d\n# e\nUSER f\n")
    assert (stage.image, stage.name) == ("a", "b")
    assert [(step.name, step.text) for step in stage.steps] == [("RUN", "c && d"), ("USER", "f")]
