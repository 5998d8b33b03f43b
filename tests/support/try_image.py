"""Runs the Dockerfile's steps without Docker, in fresh Debian systems, and tries what they make.

    sudo python -m tests.support.try_image FOLDER SLIDE

It needs root, debootstrap, and a Debian whose package sources the new systems can use.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.dockerfile import DOCKERFILE, ROOT, Stage, stages

# What the network asks for, if it asks for anything: the new systems get it along.
SETTINGS = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/apt/apt.conf.d")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def mirror() -> str:
    """Where apt gets this system's packages from."""
    asked = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"]
    sites = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()
    return next(site for site in sites if site.startswith("http") and "security" not in site)


def debian(suite: str, folder: Path) -> None:
    """A minimal system, as the image of that name is."""
    command = ["debootstrap", "--variant=minbase", suite, str(folder), mirror()]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for name in filter(os.path.exists, SETTINGS):
        target = Path(f"{folder}{name}")
        if Path(name).is_dir():
            shutil.copytree(name, target, dirs_exist_ok=True)
        else:
            shutil.copy(name, target)
    if CERTIFICATES.exists():
        shutil.copy(CERTIFICATES, folder / "etc/authorities.crt")


@contextlib.contextmanager
def proc(folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "proc", "proc", str(folder / "proc")], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder / "proc")], check=True)


class System:
    """A stage's file system, and the settings its steps have made so far."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {"PATH": PATH, "HOME": "/root"}
        self.folder = "/"
        self.user = "0"
        self.entry: list[str] = []

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        given = {
            **dict.fromkeys(("PIP_CERT", "NODE_EXTRA_CA_CERTS"), "/etc/authorities.crt"),
            **self.environment,
            **environment,
        }
        variables = [f"{name}={value}" for name, value in given.items()]
        shell = f'cd {self.folder} && exec "$@"'
        return subprocess.run(
            [
                *("chroot", f"--userspec={self.user}:{self.user}", str(self.root)),
                *("/usr/bin/env", "-i", *variables, "sh", "-c", shell, "sh", *words),
            ],
            text=True,
            capture_output=True,
        )

    def make(self, stage: Stage, made: dict[str, System]) -> None:
        """Runs the steps."""
        for step in stage.steps:
            print(f"{step.name} {step.text}", flush=True)
            if step.name == "RUN":
                done = self.run("sh", "-c", step.text)
                if done.returncode:
                    sys.exit(f"{done.stdout}{done.stderr}exit code {done.returncode}")
            elif step.name == "COPY":
                origin = step.option("from")
                self._copy(made[origin].root if origin else ROOT, *step.words)
            elif step.name == "ENV":
                self.environment |= dict(word.split("=", 1) for word in step.words)
            elif step.name == "WORKDIR":
                (self.folder,) = step.words
                Path(f"{self.root}{self.folder}").mkdir(parents=True, exist_ok=True)
            elif step.name == "USER":
                (self.user,) = step.words
            else:
                self.entry = step.words

    def _copy(self, origin: Path, *words: str) -> None:
        *sources, target = words
        for source in sources:
            path = Path(f"{origin}/{source.lstrip('/')}")
            place = Path(f"{self.root}{target}")
            if path.is_dir():
                ignored = shutil.ignore_patterns("*.so", "__pycache__", "vendor")
                kept = ignored if origin == ROOT else None
                shutil.copytree(path, place, symlinks=True, dirs_exist_ok=True, ignore=kept)
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, place)


def main(folder: Path, slide: Path) -> None:
    made: dict[str, System] = {}
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as mounted:
        found = stages(DOCKERFILE.read_text(encoding="utf-8"))
        (suite,) = {re.sub(r"^debian:|-slim(@.*)?$", "", stage.image) for stage in found}
        debian(suite, folder / "debian")
        for stage in found:
            system = System(folder / stage.name)
            subprocess.run(["cp", "-a", folder / "debian", system.root], check=True)
            mounted.enter_context(proc(system.root))
            system.make(stage, made)
            made[stage.name] = system
        shutil.copy(slide, system.root / "tmp/170782.svs")
        version = system.run("vsv-pyramid", "--version").stdout
        assert "pillow-simd" in version, version
        nothing = system.run(*system.entry)
        assert nothing.returncode == 2, nothing
        place = {"VSV_PYRAMID_DESTINATION": "/tmp/published", "VSV_PYRAMID_SLIDES": "/tmp"}
        job = system.run(*system.entry, "/tmp/170782.svs", **place)
        assert job.returncode == 0, job
        checked = system.run("vsv-pyramid", "verify", "/tmp/published/images/170782", "--deep")
        assert checked.returncode == 0, checked
        handler = system.run(system.entry[0], "-c", "import awslambdaric, lambda_handler")
        assert handler.returncode == 0, handler
        size = sum(path.lstat().st_size for path in system.root.glob("opt/**/*"))
        print(f"{version}{checked.stdout}/opt: {size / 1e6:.0f} MB", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
