"""README and docs/: every command, option and link that they promise."""

from __future__ import annotations

import re
import shlex
import uuid
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.support import docs
from tests.support.docs import PAGES, README, ROOT
from tests.support.s3_server import Server


def numberless(text: str) -> str:
    """The text without what differs from run to run."""
    text = re.sub(r"in [\d.]+ s \([\d.]+ gigapixels/s\)", "in N s", text)
    text = re.sub(r"read by (OpenSlide|tifffile and imagecodecs)", "read by one of them", text)
    # The readers, and Pillow and Pillow-SIMD, round differently.
    return re.sub(r"PSNR 33\.\d dB, of chroma 3\d\.\d dB", "PSNR 33 dB", text)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if docs.shown(page)], ids=lambda page: page.stem
)
def test_a_pages_commands_print_what_it_says(
    page: Path, run: Run, real_slide: Path, s3: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page by itself, in a folder with a slide, and with another one in a bucket."""
    Path("170782.svs").write_bytes(real_slide.read_bytes())
    client = s3.client()
    buckets = {name: f"{name}-{uuid.uuid4().hex[:12]}" for name in ("my-bucket", "my-scans")}
    for bucket in buckets.values():
        client.create_bucket(Bucket=bucket)
    client.upload_file(str(real_slide), buckets["my-scans"], "170783.svs")
    tried = 0
    for command, output in docs.shown(page):
        for name, bucket in buckets.items():
            command, output = (part.replace(name, bucket) for part in (command, output))
        program, *words = shlex.split(command)
        if program == "make":
            continue
        if program == "export":
            monkeypatch.setenv(*words[0].split("="))
            continue
        outcome = run(*words)
        assert (outcome.code, outcome.err) == (0, "")
        assert numberless(outcome.out) == numberless(output), command
        tried += 1
    assert tried == docs.text(page).count("\n$ vsv-pyramid ")


def test_every_command_that_is_shown_can_be_given(run: Run) -> None:
    """Those in blocks of shell are not run: some do not end, some want a server."""
    given = [line for page in PAGES for line in docs.commands(page)]
    ours = [words for program, *words in map(shlex.split, given) if program == "vsv-pyramid"]
    assert len(ours) > 10
    for words in ours:
        outcome = run(*words, "--help")
        assert (outcome.code, outcome.err) == (0, ""), words


def test_every_command_is_in_the_docs(run: Run) -> None:
    listed = run("--help").out.partition("Commands:\n")[2]
    names = re.findall(r"^  (\w+)", listed, re.MULTILINE)
    assert len(names) == 17
    for name in names:
        assert re.search(rf"vsv-pyramid {name}\b", docs.TEXT), name


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    text = docs.text(README)
    assert len(text.splitlines()) <= 150
    for page in PAGES[1:]:
        assert f"](docs/{page.name})" in text, page.name


def headings(text: str) -> set[str]:
    """The names that links into a page give to its headings."""
    found = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize(
    "page",
    [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "cloudformation/README.md"],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", docs.text(page)):
        place, _, heading = link.partition("#")
        if "://" in link:
            continue
        target = page.parent / place if place else page
        assert target.is_file(), link
        assert not heading or heading in headings(docs.text(target)), link


@pytest.mark.parametrize("name", ["README.md", "docs/published-layout.md", "docs/s3.md"])
def test_it_is_said_what_must_not_be_served(name: str) -> None:
    text = " ".join(docs.text(ROOT / name).split())
    assert re.search(r"\*\*[^*]*(?:kept nowhere|Nobody serves|gives out only)[^*]*\*\*", text)
    assert "--private-to" in text


def targets(text: str) -> set[str]:
    return set(re.findall(r"(?:^|^ {4}|`|\$ )make ([\w-]+)", text, re.MULTILINE))


def test_make_has_the_targets_that_are_spoken_of() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)", makefile, re.MULTILINE)
    made = {target for target in phony.split() if f"\n{target}:" in makefile}
    assert targets(docs.text(README)) == {"demo", "test"}
    assert {"demo", "test", "bench"} <= targets(docs.TEXT) <= made
    assert targets((ROOT / "CONTRIBUTING.md").read_text()) == set(phony.split()) == made
    checked = re.findall(r"^timed make (.*)", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert set(" ".join(checked).split()) & made == {
        *("set-up", "test-all", "lowest", "lint", "wheel", "sanitize", "fuzz")
    }


def test_every_option_is_in_the_docs(run: Run) -> None:
    help_text = run("convert", "--help").out
    for option in re.findall(r"--[a-z-]+", help_text):
        assert option in docs.TEXT, option
