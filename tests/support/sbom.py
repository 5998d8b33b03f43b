"""The parts of the container's image, as CycloneDX lists them, out of the locks.

    python -m tests.support.sbom FILE

Debian's packages are not in it: they are those of the day on which the image is built.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from packaging.markers import default_environment
from packaging.utils import canonicalize_name

import vsv_pyramid
from tests.support.locks import ROOT, Locked, locked

# What Debian bookworm has.
PYTHON = "3.11"
IMAGE = {
    **{key: str(value) for key, value in default_environment().items()},
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": f"{PYTHON}.2",
    "python_version": PYTHON,
    "sys_platform": "linux",
}
SPEC = "1.6"


def licences() -> dict[str, str]:
    """By the names of distributions, as THIRD-PARTY.md has them."""
    text = (ROOT / "THIRD-PARTY.md").read_text(encoding="utf-8")
    table = text[text.index("| distribution |") :]
    return dict(re.findall(r"^\| ([a-z0-9-]+) \| ([^|]+) \|", table, re.MULTILINE)[2:])


def installed() -> list[Locked]:
    """What of the locks is in the image; Pillow-SIMD takes the place of Pillow."""
    own = [
        entry
        for entry in locked("image").values()
        if entry.requirement.marker is None or entry.requirement.marker.evaluate(IMAGE)
    ]
    return [one for one in own if one.requirement.name != "pillow"] + [
        *locked("pillow-simd").values()
    ]


def component(name: str, version: str, licence: str, kind: str) -> dict[str, Any]:
    purl = f"pkg:{kind}/{name}@{version}"
    single = {"license": {"id": licence}}
    is_expression = " " in licence or licence.startswith("LicenseRef")
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "licenses": [{"expression": licence} if is_expression else single],
        "purl": purl,
    }


def bom() -> dict[str, Any]:
    stated = licences()
    parts = []
    for entry in installed():
        name = canonicalize_name(entry.requirement.name)
        parts.append(component(name, entry.version, stated[name], "pypi"))
    npm = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    viewer = npm["node_modules/openseadragon"]
    parts.append(component("openseadragon", viewer["version"], viewer["license"], "npm"))
    program = component("vsv-pyramid", vsv_pyramid.__version__, "MIT", "pypi")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "version": 1,
        "metadata": {"component": {**program, "type": "application"}},
        "components": sorted(parts, key=lambda part: str(part["name"])),
        "dependencies": [
            {"ref": program["bom-ref"], "dependsOn": sorted(part["bom-ref"] for part in parts)}
        ],
    }


def main(path: Path) -> None:
    """Raises ValueError where CycloneDX's schema does not allow what was made."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = json.dumps(bom(), indent=2) + "\n"
    if error := JsonStrictValidator(SchemaVersion.from_version(SPEC)).validate_str(text):
        raise ValueError(str(error))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"{path}: {len(bom()['components'])} parts, as CycloneDX {SPEC} has them.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
