"""What was deleted by mistake comes back by the commands of cloudformation/README.md, on a real
server that keeps versions."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support import cloudformation
from tests.support.s3_server import Place
from tests.support.versioned import kept_by
from tests.system.test_deployment import Page
from vsv_pyramid.conversion import convert
from vsv_pyramid.destination import open_destination
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review.desk import Desk

pytestmark = pytest.mark.aws

AWS = Path(__file__).parents[2] / ".cache/aws/bin"


def test_private_files_of_a_slide(real_slide: Path, tmp_path: Path, versioned: Place) -> None:
    target, private = str(versioned), str(kept_by(versioned))
    slide = tmp_path / "170782.svs"
    slide.write_bytes(real_slide.read_bytes())
    convert(slide, target, ConvertOptions(workers=1, private_to=private))
    desk = Desk(open_destination(target, private), "anna")
    desk.set({"170782": 1}, {"status": "GOOD", "slide_id": "S1"})
    before = {key for key in kept_by(versioned).objects() if "/170782/" in key}
    assert len(before) == 3
    for key in before:
        kept_by(versioned).delete(key)
    page = (cloudformation.FOLDER / "README.md").read_text(encoding="utf-8")
    (block,) = (
        block
        for title, block in Page(page).left
        if title == "What is lost, and what brings it back"
    )
    kept = kept_by(versioned)
    script = block.replace("private/images", f"{kept.prefix}/private/images")
    done = subprocess.run(
        ["bash", "-ec", f"output() {{ echo {kept.bucket}; }}\n{script}"],
        cwd=tmp_path,
        env={
            "PATH": f"{AWS}:{os.defpath}",
            **versioned.server.environment(),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {key for key in kept.objects() if "/170782/" in key} == before
    record = json.loads(kept.get("private/images/170782/slide.private.json")["Body"].read())
    assert record["history"][-1]["who"] == "anna"
