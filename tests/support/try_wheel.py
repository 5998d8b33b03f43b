"""Tries a wheel as a user without a compiler would: try_wheel.py WHEEL SLIDE"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

KERNEL = "from vsv_pyramid.jpeg import _splice; print(_splice.__file__)"


def main(wheel: Path, slide: Path) -> None:
    assert "manylinux" in wheel.name or "musllinux" in wheel.name, wheel
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0].split("-")[0] for name in archive.namelist()}
        assert "vsv_pyramid/pages/viewer/vendor/openseadragon.min.js" in archive.namelist()
    assert tops == {"vsv_pyramid"}, tops
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder).resolve() / "venv"
        venv.create(home, with_pip=True)
        python = home / "bin/python"
        plain = {key: os.environ[key] for key in os.environ if key not in ("CC", "PYTHONPATH")}
        # Nothing but the venv's own programs, and so no compiler.
        plain["PATH"] = str(home / "bin")

        def run(*words: object) -> str:
            command = [str(word) for word in words]
            return subprocess.check_output(command, cwd=folder, env=plain, text=True)

        pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
        run(*pip, "--only-binary", ":all:", wheel)
        kernel = Path(run(python, "-c", KERNEL).strip())
        assert kernel.is_relative_to(home), kernel
        assert "site-packages" in kernel.parts, kernel
        run(home / "bin/vsv-pyramid", "convert", slide, "--to", folder, "--id", "x")
        record = json.loads((Path(folder) / "images/x/slide.json").read_text(encoding="utf-8"))
        assert record["pyramid"]["lane"] == "lossless", record
        run(home / "bin/vsv-pyramid", "verify", Path(folder) / "images/x", "--deep")
    print(f"{wheel.name} is installed without a compiler, and its lane is lossless.")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
