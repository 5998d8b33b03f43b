"""The viewer's pages opened from a disk, where browsers run no modules: they say so."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.conftest import Run

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("page", ["index.html?id=170782", "index.html", "gallery/index.html"])
def test_a_page_from_a_disk_says_what_to_do(
    chromium: Browser, run: Run, tmp_path: Path, page: str
) -> None:
    assert run("viewer", "--to", tmp_path).code == 0
    opened = chromium.new_page()
    opened.goto(f"{tmp_path.as_uri()}/viewer/{page}")
    expect(opened.get_by_role("alert")).to_have_text(
        "This page was opened from a disk, and browsers do not let such a page read slides; "
        "open it with vsv-pyramid serve --open, or from any web server."
    )
    assert opened.locator("body > *").count() == 1
    opened.close()
