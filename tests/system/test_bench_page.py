"""docs/performance.md is made of what the benchmarks write, and shows nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import (
    containers,
    desk,
    lossless,
    packing,
    performance,
    pixels,
    publish,
    sessions,
    viewing,
)
from tests.benchmarks.lossless import KINDS
from tests.benchmarks.measure import Cost
from tests.benchmarks.report import DECODE, NARROW, OUR_NAME, USUAL_NAME, VIPS, machine
from tests.benchmarks.viewing import Opening

ROOT = Path(__file__).parents[2]
RGB, YCBCR, YCBCR_422 = KINDS
MACHINE: dict[str, str | int] = {
    "cpu": "AMD EPYC",
    "cores": 2,
    "os": "Debian GNU/Linux 12 (bookworm)",
    "vectors of": "256 bits (AVX2)",
    "python": "3.11.7",
    "openslide": "4.0.1",
    "openslide-python": "1.4.7",
    "pillow-simd": "12.1.1.post0",
    "simplejpeg": "1.9.0",
    "vsv-pyramid": "0.1.0",
}
WITH_VIPS = {**MACHINE, "pyvips-binary": "8.18"}


def cost(cpu_seconds: float, wall_seconds: float, peak_mb: float) -> Cost:
    return Cost(cpu_seconds, wall_seconds, round(peak_mb * 1e6))


COMPARED = [
    lossless.Row(kind, 2, tool, cost(*figures), 1 if tool == USUAL_NAME else 5)
    for kind, tool, *figures in (
        (RGB, OUR_NAME, 11.9, 6.87, 55),
        (RGB, NARROW, 13.0, 7.9, 55),
        (RGB, DECODE, 14.6, 8.0, 47),
        (RGB, VIPS, 43.1, 34.9, 350),
        (RGB, USUAL_NAME, 169.8, 91.3, 222),
        (YCBCR, OUR_NAME, 7.1, 4.2, 55),
        (YCBCR, DECODE, 7.9, 4.4, 41),
        (YCBCR, VIPS, 33.3, 24.6, 369),
        (YCBCR, USUAL_NAME, 180.0, 97.9, 222),
        (YCBCR_422, OUR_NAME, 10.32, 5.87, 55),
        (YCBCR_422, DECODE, 10.93, 6.0, 45),
        (YCBCR_422, VIPS, 37.4, 28.1, 369),
        (YCBCR_422, USUAL_NAME, 191.3, 103.7, 226),
    )
]
GROWTH = [
    lossless.Row(RGB, gigapixels, OUR_NAME, cost(*figures), 1)
    for gigapixels, *figures in ((0.5, 3.58, 2.1, 51), (2, 13.06, 7.5, 55.2), (8, 55.0, 32, 61.3))
]
PAIRS = [
    pixels.Pair(
        pixels.Run(gigapixels, OUR_NAME, *cost(*ours), tiles + 3, tiles),
        pixels.Run(gigapixels, USUAL_NAME, *cost(*usual), tiles + 1, tiles),
    )
    for gigapixels, tiles, ours, usual in (
        (0.25, 692, (12.9, 7.4, 127.3), (33.18, 18.0, 299)),
        (1, 2692, (47.9, 26.9, 130), (144.1, 79.1, 316)),
        (4, 10513, (201.7, 112.1, 135.96), (600.9, 364.3, 331)),
    )
]
PUBLISHED = [
    publish.Row(kind.name, way, cost(*figures))
    for kind, way, *figures in (
        (RGB, publish.FOLDER, 12.2, 7.3, 53),
        (RGB, publish.S3, 14.78, 10.5, 106),
        (RGB, "pyvips, then s5cmd", 51.3, 47.9, 349),
        (RGB, "pyvips, then boto3", 63.7, 57.7, 349),
        (YCBCR, publish.FOLDER, 7.06, 4.4, 53),
        (YCBCR, publish.S3, 9.52, 8.1, 101),
        (YCBCR, "pyvips, then s5cmd", 41.4, 34.8, 367),
        (YCBCR, "pyvips, then boto3", 52.7, 46.2, 367),
    )
]
TILES = {
    RGB.name: publish.Tiles(5253, 5253 * 130_000),
    YCBCR.name: publish.Tiles(4728, 4728 * 75_000),
}
SLOW = [publish.Slow(0.05, 2, cost(15, 20, 109)), publish.Slow(1, 0.5, cost(4, 50, 105))]
FINISHED = publish.Finished(20_932, cost(1.0, 0.8, 80))


def visit(
    way: str, tile_ms: Sequence[float], view_ms: Sequence[float], speed: float, visit: str = "cold"
) -> dict[str, Any]:
    """A record of 16 viewers: p50 and p95 of tiles and of views, views a second."""
    seconds = {
        name: dict(zip(("p50", "p95"), (ms / 1000 for ms in times), strict=True))
        for name, times in (("tile_seconds", tile_ms), ("view_seconds", view_ms))
    }
    return {"way": way, "viewers": 16, "visit": visit, "views": speed * 20, "seconds": 20} | seconds


VISITS = [
    visit(performance.ON_DEMAND, (573, 1005), (4371, 6500), 3.4),
    visit(viewing.SERVE, (91, 123), (175, 228), 97),
    visit(viewing.NGINX, (5, 10.97), (9, 20), 1454),
    visit(viewing.S3, (30, 54), (57, 96), 266),
    visit(performance.ON_DEMAND, (570, 1000), (4300, 6400), 3.4, "warm"),
    visit(viewing.S3, (26, 47.1), (50, 90), 290, "warm"),
]
OPENED = [Opening("WebGL in software", 2300, 2200, 1500, 9, 700_000)] * 7
OPENED += [Opening("canvas", 900, 800, 400, 9, 700_000)] * 7
LOOKED = [
    sessions.Session(sessions.TILES, sessions.COLD, 0.4, 10, 4.0, 180, 19_000_000),
    sessions.Session(sessions.TILES, sessions.WARM, 0.3, 1, 3.0, 1, 344),
    sessions.Session(sessions.ONE_FILE, sessions.COLD, 0.36, 3, 3.7, 85, 19_300_000),
    sessions.Session(sessions.ONE_FILE, sessions.WARM, 0.2, 0, 2.9, 0, 0),
]
PACKED = [
    packing.Row(packing.TILES, 0.5, cost(4.0, 4.1, 98)),
    packing.Row(packing.PACKED, 0.5, cost(3.2, 3.4, 151)),
    packing.Row(packing.TO_ONE, 0.5, cost(0.3, 0.3, 7)),
    packing.Row(packing.TO_MANY, 0.5, cost(0.3, 0.3, 7)),
    packing.Row(packing.PACK, 0.5, cost(0.5, 0.5, 55)),
    packing.Row(packing.UNPACK, 0.5, cost(0.42, 0.5, 77)),
]
TYPED = [
    desk.Row(desk.FEW, [14.0] * 230 + [43.0] * 19 + [157.0]),
    desk.Row(desk.MANY, [17.0] * 230 + [39.0] * 19 + [154.0]),
]
CONTAINERS = {
    kind: {OUR_NAME: cost(3.0, 1.7, 101), kind.peer: cost(4.2, 2.9, 146)}
    for kind in containers.KINDS
}
RESULTS: dict[str, dict[str, Any]] = {
    "containers": containers.results(CONTAINERS, {"gigapixels": 0.5, "runs": 3}, MACHINE),
    "lossless": lossless.results(COMPARED, GROWTH, WITH_VIPS),
    "pixels": pixels.results(PAIRS, {"tile_size": 720, "quality": 80, "workers": 2}, MACHINE),
    "publish": publish.results(
        PUBLISHED, TILES, SLOW, FINISHED, {"gigapixels": 2, "runs": 3}, WITH_VIPS
    ),
    "viewing": viewing.results(VISITS, OPENED, 56_807, {"gigapixels": 0.5}, MACHINE),
    "packing": packing.results(PACKED, {"gigapixels": 0.5, "runs": 3}, MACHINE),
    "sessions": sessions.results(LOOKED, {"gigapixels": 0.5, "milliseconds": 50}, MACHINE),
    "desk": desk.results(TYPED, MACHINE),
}
PAGE = "".join(f"<!-- bench: {name} -->\nold\n<!-- end -->\n" for name in performance.SECTIONS)
MADE = performance.sections(performance.written(PAGE, json.loads(json.dumps(RESULTS))))
IN_DOCS = [
    section
    for page in performance.PAGES
    for section in performance.sections((ROOT / page).read_text(encoding="utf-8")).items()
]


def tables(section: str) -> list[list[list[str]]]:
    """The cells of its tables, without the rules below the headings."""
    found = re.findall(r"(?:^\|.*\|$\n?)+", section, re.MULTILINE)
    rows = [
        [
            [cell.strip() for cell in line.strip("|").split("|")]
            for number, line in enumerate(table.splitlines())
            if number != 1
        ]
        for table in found
    ]
    assert all(len({len(row) for row in table}) == 1 for table in rows)
    return rows


def sentences(section: str) -> set[str]:
    """What is beside the tables, without numbers, and without the machine."""
    lines = (line for line in section.splitlines() if line and line[0] != "|")
    return {re.sub(r"[\d.,]*\d", "N", line) for line in lines if not line.startswith("Measured")}


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        (
            "lossless",
            [
                "RGB 4:4:4 Q70, 240 px | 2 | vsv-pyramid | 11.9 | 1.0 | 13.0 | 6.9 | 1.0 | 55",
                "RGB 4:4:4 Q70, 240 px | 2 | pyvips | 43.1 | 3.6 |  | 34.9 | 5.1 | 350",
                "RGB 4:4:4 Q70, 240 px | 2 | DeepZoomGenerator | 169.8 | 14.3 |  | 91.3 | 13.3"
                " | 222",
                "RGB 4:4:4 Q70, 240 px | 0.5 | 7.2 | 51",
                "RGB 4:4:4 Q70, 240 px: CPU time at least 4 times less than pyvips | 3.6 times"
                " | missed",
                "RGB 4:4:4 Q70, 240 px: wall time at least 5 times less than pyvips | 5.1 times"
                " | met",
                "YCbCr 4:2:0 Q70, 256 px: CPU time at most 0.75 of one full decode | 0.90 | missed",
                "peak memory at most 200 MB, at any size | 61 MB | met",
                "peak memory at most 1.1 times the least, at any size | 1.2 times | missed",
            ],
        ),
        (
            "pixels",
            [
                "0.25 | vsv-pyramid | 12.9 | 51.6 | 0.39 | 7.4 | 127 | 695",
                "4 | DeepZoomGenerator | 600.9 | 150.2 | 1.00 | 364.3 | 331 | 10,514",
                "peak memory within 15% from 0.25 to 4 gigapixels | +6.8% | met",
            ],
        ),
        (
            "containers",
            [
                "DICOM, RGB frames | 0.5 | 3.0 | 1.7 | 101 | vsv-pyramid on the SVS | 4.2 | 0.71",
                "BIF, by OpenSlide | 0.05 | 3.0 | 1.7 | 101 | DeepZoomGenerator | 4.2 | 0.71",
                "SVS, --base reencode: CPU time at most 0.75 of pyvips | 0.71 | met",
                "SVS, --color srgb: CPU time at most 0.6 of pyvips | 0.71 | missed",
                "peak memory under 200 MB | 101 MB | met",
            ],
        ),
        (
            "publish",
            [
                "RGB 4:4:4 Q70, 240 px | vsv-pyramid to a folder | 12.2 | 0.8 | 7.3 | 53",
                "YCbCr 4:2:0 Q70, 256 px | pyvips, then boto3 | 52.7 | 5.5 | 46.2 | 367",
                "RGB 4:4:4 Q70, 240 px: to put a thousand tiles of 130 KB takes at most 0.4 CPU s"
                " | 0.49 CPU s | missed",
                "YCbCr 4:2:0 Q70, 256 px: CPU time at least 5 times less than with pyvips and boto3"
                " | 5.5 times | met",
                "peak memory at most 300 MB where a put takes 0.05 s (2 gigapixels) | 109 MB | met",
            ],
        ),
        (
            "viewing",
            [
                "on demand | 573 | 1005 | 1.0 | 4371 | 6500 | 3.4",
                "nginx | 5 | 11 | 91.6 | 9 | 20 | 1,454",
                "canvas | 7 | 0.4 | 0.9 | 9 | 0.7",
                "SeaweedFS's S3, 16 viewers, cold: a tile's p95 at least 20 times lower than on "
                "demand | 18.6 times | missed",
                "SeaweedFS's S3, 16 viewers, warm: a tile's p95 at least 20 times lower than on "
                "demand | 21.2 times | met",
                "first complete view in Chromium, canvas, in less than 300 ms | 0.9 s | missed",
                "the viewer's page without OpenSeadragon has less than 60 KB | 56.8 KB | met",
            ],
        ),
        (
            "packing",
            [
                "convert into S3, packed | 3.20 | 3.40 | 151",
                "convert into S3, packed: CPU time at most 0.85 of: convert into S3, tiles"
                " | 0.80 | met",
                "pack: CPU time at most 1.4 of: a loop: files into one | 1.67 | missed",
                "unpack: CPU time at most 1.4 of: a loop: one into files | 1.40 | met",
                "convert into S3, packed: peak memory at most 250 MB | 151 MB | met",
            ],
        ),
        (
            "sessions",
            [
                "tiles | first | 0.40 | 10 | 4.00 | 180 | 19.0",
                "one .szi file | again | 0.20 | 0 | 2.90 | 0 | 0.0",
                "the session's time, of one file at most 1.1 of tiles' | 0.93 | met",
                "one file, the same session again: no request | 0 | met",
            ],
        ),
        (
            "desk",
            [
                "100 | 250 | 14 | 43 | 157",
                "a keystroke among 10,000 slides takes less than 100 ms (p95)"
                " | 39 ms, 154 ms at most | met",
            ],
        ),
        (
            "summary",
            [
                "of JPEG tiles | vsv-pyramid | 3.5 to 6.0 | 2.1 to 3.4 | 55",
                "of JPEG tiles | DeepZoomGenerator | 85 to 96 | 46 to 52 | 226",
                "any other | vsv-pyramid | 48 to 52 | 27 to 30 | 136",
            ],
        ),
    ],
)
def test_a_section_shows_what_was_measured(name: str, rows: list[str]) -> None:
    shown = {" | ".join(row) for table in tables(MADE[name]) for row in table}
    assert set(rows) <= shown


def test_the_readmes_section_tells_what_a_slide_costs() -> None:
    text = " ".join(MADE["summary"].split())
    assert "8 gigapixels becomes 20,821 tiles of 720 px, which cost $0.10 to put into S3" in text
    assert "In the usual size it would be 165,747 tiles of 254 px, which cost $0.83" in text
    assert "From 0.5 to 8 gigapixels" in text
    assert "from 51 to 61 MB" in text
    assert "Measured with 2 workers on AMD EPYC, 2 cores." in text


def test_the_machine_and_the_versions_are_told() -> None:
    assert MADE["lossless"].endswith(
        "Measured on AMD EPYC, 2 cores, Debian GNU/Linux 12 (bookworm); vectors of 256 bits "
        "(AVX2), python 3.11.7, openslide 4.0.1, openslide-python 1.4.7, pillow-simd 12.1.1.post0, "
        "simplejpeg 1.9.0, vsv-pyramid 0.1.0, pyvips-binary 8.18."
    )
    assert list(machine("pytest"))[:3] == ["cpu", "cores", "os"]
    assert machine("pytest")["pytest"] == pytest.__version__


def test_a_missed_target_is_told_as_such() -> None:
    result = json.loads(json.dumps(RESULTS["desk"]))
    (verdict,) = result["verdicts"]
    assert tables(performance.desk(result))[-1][-1][-1] == "met"
    verdict["met"] = False
    assert tables(performance.desk(result))[-1][-1][-1] == "missed"


def test_nothing_but_sections_is_written() -> None:
    page = f"# Speed\n\nBefore.\n\n{PAGE}After.\n"
    made = performance.written(page, {"desk": RESULTS["desk"]})
    assert made == page.replace(
        "<!-- bench: desk -->\nold\n", f"<!-- bench: desk -->\n\n{MADE['desk']}\n\n"
    )
    assert performance.written(made, {"desk": RESULTS["desk"]}) == made
    assert (
        performance.written(page, {"pixels": RESULTS["pixels"]}).count("old")
        == len(performance.SECTIONS) - 1
    )


def test_the_program_writes_both_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    for path in performance.PAGES:
        path.write_text(PAGE)
    for name, result in RESULTS.items():
        Path(f"{name}.json").write_text(json.dumps(result))
    performance.main([f"{name}.json" for name in RESULTS])
    for path in performance.PAGES:
        assert performance.sections(path.read_text()) == MADE


def test_make_bench_has_all_results_written() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"^bench:.*\n((?:\t.*\n|.*\\\n)+)", makefile, re.MULTILINE)
    measured = re.findall(r"-m tests\.benchmarks\.(\w+) .*--json \.cache/(\w+)\.json", recipe)
    assert {name for _, names in performance.SECTIONS.values() for name in names} == {
        name for pair in measured for name in pair
    }
    (given,) = re.findall(r"-m tests\.benchmarks\.performance (.*)", recipe)
    assert given.split() == [f".cache/{name}.json" for _, name in measured]


def test_each_section_is_in_the_docs_once() -> None:
    assert sorted(name for name, _ in IN_DOCS) == sorted(performance.SECTIONS)


@pytest.mark.parametrize(("name", "section"), IN_DOCS, ids=[name for name, _ in IN_DOCS])
def test_a_section_in_the_docs_is_as_it_would_be_made(name: str, section: str) -> None:
    """Whatever was measured: the same tables and sentences, with other numbers."""
    found, made = tables(section), tables(MADE[name])
    assert [table[0] for table in found] == [table[0] for table in made]
    assert all(len(table) > 1 for table in found)
    assert sentences(section) == sentences(MADE[name])
    for heading, *rows in found:
        if heading[-1] == "result":
            assert {row[-1] for row in rows} <= {"met", "missed"}
        else:
            assert all(re.fullmatch(r"[\d.,]*\d(?: to [\d.,]*\d)?", row[-1]) for row in rows)
