"""The page of what other programs may use, as it is made of the docstrings."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import vsv_pyramid

ROOT = Path(__file__).parents[2]


def test_the_page_has_all_names_and_needs_no_network(tmp_path: Path) -> None:
    make = ["make", "--silent", "docs", f"API={tmp_path}"]
    planned = subprocess.check_output([*make, "--dry-run"], cwd=ROOT, text=True)
    # What is installed anew amid a run is not there for the other tests.
    assert "pip" not in planned, "the environment is out of date; make set-up brings it up to date"
    subprocess.run(make, cwd=ROOT, check=True)
    pages = list(tmp_path.rglob("*.html"))
    assert {page.name for page in pages} == {"index.html", "vsv_pyramid.html"}
    text = (tmp_path / "vsv_pyramid.html").read_text(encoding="utf-8")
    for name in vsv_pyramid.__all__:
        assert f'id="{name}"' in text, name
    loaded = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="([^"]+)"', text)
    assert not [address for address in loaded if address.startswith(("http", "//"))]
