"""Other containers than SVS, and tiles that cannot be copied, against peers on the same pixels: CPU
time and memory, side by side in one run."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
from PIL import Image

from tests.benchmarks import performance
from tests.benchmarks.lossless import median
from tests.benchmarks.measure import Cost, measure
from tests.benchmarks.pixels import OURS, TISSUE, size
from tests.benchmarks.report import OUR_NAME, USUAL_NAME, VIPS, Verdict, machine, tell
from tests.slide.test_icc import PROFILES
from tests.support.forge import Encoding, forge_svs
from tests.support.forge_dicom import instance
from tests.support.forge_makers import RUN, hamamatsu, ventana
from tests.support.forge_mirax import mirax
from vsv_pyramid.containers.raw import RawTiles
from vsv_pyramid.containers.tiff import tiff_base
from vsv_pyramid.jpeg.colour import standalone

SVS = f"{OUR_NAME} on the SVS"
RAW = "full decode"
WORKERS = 2
PEAK_MB = 200
_VIPS = [sys.executable, "-m", "tests.benchmarks.vips_driver", "{slide}", "--to", "{to}"]
_RGB = Encoding(240, 70, "4:4:4", rgb=True)
_YCC = Encoding(256, 70, "4:2:0", rgb=False)
_OME = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0" Name="a">'
    '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="{}" SizeY="{}" SizeC="3" '
    'SizeZ="1" SizeT="1"><Channel ID="Channel:0" SamplesPerPixel="3"/><TiffData IFD="0" '
    'PlaneCount="1"/></Pixels></Image></OME>'
)
Make = Callable[[Path, Path], Path]  # of an SVS, in a folder


def _stored(svs: Path) -> tuple[list[bytes], tuple[int, int], int, bool]:
    """The SVS's tiles as whole JPEGs, its size and theirs in px, and whether they are RGB."""
    base = tiff_base(svs)
    assert base
    with closing(RawTiles(base)) as raw:
        tiles = raw.read(range(base.grid.width), range(base.grid.height))
    streams = [standalone(tile or b"", base.tables, base.is_rgb) for tile in tiles]
    return streams, (base.size.width, base.size.height), base.tile_size.width, base.is_rgb


def as_dicom(svs: Path, folder: Path) -> Path:
    frames, pixels, tile, is_rgb = _stored(svs)

    def tiled(said: Any) -> None:
        said.Rows = said.Columns = tile

    photometric = "RGB" if is_rgb else "YBR_FULL_422"
    return instance(folder / "a.dcm", frames, size=pixels, photometric=photometric, change=tiled)


def as_ome(svs: Path, folder: Path) -> Path:
    tiles, (width, height), tile, is_rgb = _stored(svs)
    with tifffile.TiffWriter(folder / "a.ome.tif", bigtiff=True) as writer:
        writer.write(
            iter(tiles),
            shape=(height, width, 3),
            dtype="uint8",
            tile=(tile, tile),
            photometric="rgb" if is_rgb else "ycbcr",
            compression="jpeg",
            compressionargs={"outcolorspace": "rgb" if is_rgb else "ycbcr"},
            subsampling=None if is_rgb else (2, 2),
            description=_OME.format(width, height),
            metadata=None,
        )
    return folder / "a.ome.tif"


def as_tiff(compression: str, byteorder: Literal[">", "<"] = ">") -> Make:
    def make(svs: Path, folder: Path) -> Path:
        path = folder / "a.tif"
        tifffile.imwrite(
            path,
            tifffile.imread(svs, key=0),
            tile=(256, 256),
            photometric="rgb",
            compression=compression,
            byteorder=byteorder,
            bigtiff=byteorder == "<",
            metadata=None,
        )
        return path

    return make


def as_trestle(svs: Path, folder: Path) -> Path:
    """A maker's whose tiles may overlap: OpenSlide reads them, of levels as in an SVS."""
    tiles, _, tile, is_rgb = _stored(svs)
    with tifffile.TiffWriter(folder / "a.tif", bigtiff=True) as writer:
        picture = tifffile.imread(svs, key=0)
        for number in range(3):
            writer.write(
                picture if number else iter(tiles),
                shape=picture.shape,
                dtype="uint8",
                tile=(tile, tile),
                photometric="rgb" if is_rgb else "ycbcr",
                compression="jpeg",
                compressionargs={"outcolorspace": "rgb" if is_rgb else "ycbcr"},
                software="MedScan",
                description="Objective Power=20;JPEG Quality=70",
                metadata=None,
            )
            picture = np.asarray(Image.fromarray(picture).reduce(4))
    return folder / "a.tif"


def as_ndpi(svs: Path, folder: Path) -> Path:
    picture = tifffile.imread(svs, key=0)
    width = picture.shape[1] // (16 * RUN) * 16 * RUN  # so that each level's is a multiple, too
    return hamamatsu(folder / "a.ndpi", picture[:, :width])


def as_bif(svs: Path, folder: Path) -> Path:
    return ventana(folder / "a.bif", tifffile.imread(svs, key=0), "jpeg")


def as_mrxs(svs: Path, folder: Path) -> Path:
    return mirax(folder / "a.mrxs", tifffile.imread(svs, key=0), 5, "JPEG")


def as_it_is(svs: Path, folder: Path) -> Path:
    return svs.rename(folder / "a.svs")


@dataclass(frozen=True)
class Kind:
    """A way that slides take: how the slide is made of an SVS, our options, and the peer, with the
    part of its CPU time that we may take; and what part of the gigapixels it has, where the peer
    takes minutes for a tenth of them."""

    name: str
    make: Make
    peer: str
    most: float
    options: Sequence[str] = ()
    encoding: Encoding = _RGB
    tile_size: int = 720
    icc: str | None = None
    part: float = 1


KINDS = (
    Kind("DICOM, RGB frames", as_dicom, SVS, 1.15),
    Kind("DICOM, 4:2:0 frames", as_dicom, SVS, 1.15, encoding=_YCC, tile_size=768),
    Kind("OME-TIFF, JPEG tiles", as_ome, SVS, 1.15),
    Kind("SVS, --color srgb", as_it_is, VIPS, 0.6, ("--color", "srgb"), icc="LUT of 16 bits"),
    Kind("SVS, --base reencode", as_it_is, VIPS, 0.75, ("--base", "reencode")),
    Kind("SVS, tiles of 512 px", as_it_is, VIPS, 0.95, tile_size=512),
    Kind("TIFF, LZW, big-endian", as_tiff("lzw"), VIPS, 0.9),
    Kind("TIFF, deflate, big-endian", as_tiff("deflate"), VIPS, 0.9),
    Kind("TIFF, zstd, big-endian", as_tiff("zstd"), VIPS, 0.9),
    Kind("TIFF, JPEG 2000", as_tiff("APERIO_JP2000_RGB", "<"), RAW, 1.15),
    Kind("Trestle, by OpenSlide", as_trestle, USUAL_NAME, 0.6),
    Kind("NDPI, by OpenSlide", as_ndpi, USUAL_NAME, 0.6),
    Kind("BIF, by OpenSlide", as_bif, USUAL_NAME, 0.6, part=0.1),
    Kind("MRXS, by OpenSlide", as_mrxs, USUAL_NAME, 0.6),
)


def commands(kind: Kind) -> dict[str, list[str]]:
    """Ours, and the peer's, by the tools' names."""
    ours = [*OURS, *kind.options]
    peers = {
        SVS: [word.replace("{slide}", "{svs}") for word in OURS],
        VIPS: [
            *_VIPS,
            *("--tile-size", "{tile_size}", *(["--icc"] if kind.icc else [])),
        ],
        USUAL_NAME: [
            *(sys.executable, "-m", "tests.benchmarks.deepzoom_driver", "{slide}", "--to", "{to}"),
            *("--tile-size", "{tile_size}"),
        ],
        RAW: [sys.executable, "-m", "tests.benchmarks.page_driver", "{slide}"],
    }
    return {OUR_NAME: ours, kind.peer: peers[kind.peer]}


def compare(kind: Kind, gigapixels: float, scratch: Path, runs: int) -> dict[str, Cost]:
    costs: dict[str, list[Cost]] = {}
    with tempfile.TemporaryDirectory(dir=scratch) as place:
        svs, folder = Path(place, "forged.svs"), Path(place, "slide")
        folder.mkdir()
        icc = PROFILES[kind.icc] if kind.icc else None
        forge_svs(svs, tissue=TISSUE, size=size(gigapixels), encoding=kind.encoding, icc=icc)
        values: Mapping[str, object] = {
            "svs": svs,
            "slide": kind.make(svs, folder),
            "to": Path(place, "out"),
            "tile_size": kind.tile_size,
            "quality": 80,
            "workers": WORKERS,
        }
        # By turns: a machine that is not one's own is slower at one time than at another.
        for _ in range(runs):
            for tool, words in commands(kind).items():
                print(f"{kind.name}: {tool}", file=sys.stderr, flush=True)
                with tempfile.TemporaryDirectory(dir=place) as to:
                    command = [word.format(**{**values, "to": to}) for word in words]
                    costs.setdefault(tool, []).append(measure(command))
    return {tool: median(each) for tool, each in costs.items()}


def verdicts(measured: Mapping[Kind, Mapping[str, Cost]]) -> list[Verdict]:
    found = []
    for kind, costs in measured.items():
        ours, peer = costs[OUR_NAME], costs[kind.peer]
        part = ours.cpu_seconds / peer.cpu_seconds
        wanted = f"{kind.name}: CPU time at most {kind.most:g} of {kind.peer}"
        found.append(Verdict(wanted, f"{part:.2f}", part <= kind.most))
    peak = max(costs[OUR_NAME].peak_bytes for costs in measured.values()) / 1e6
    found.append(Verdict(f"peak memory under {PEAK_MB} MB", f"{peak:.0f} MB", peak < PEAK_MB))
    return found


def results(
    measured: Mapping[Kind, Mapping[str, Cost]],
    options: Mapping[str, float],
    about: Mapping[str, str | int],
) -> dict[str, Any]:
    """What is written down of the runs."""
    return {
        "machine": about,
        "options": {"workers": WORKERS, **options},
        "runs": [
            {
                "slide": kind.name,
                "gigapixels": kind.part * options["gigapixels"],
                "tool": tool,
                "peer": kind.peer,
                **cost._asdict(),
            }
            for kind, costs in measured.items()
            for tool, cost in costs.items()
        ],
        "verdicts": [asdict(verdict) for verdict in verdicts(measured)],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.containers", description=__doc__
    )
    parser.add_argument("--gigapixels", type=float, default=0.5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--kinds", default="", help="only those whose names have this in them")
    parser.add_argument("--scratch", type=Path, required=True, help="folder for slides and tiles")
    parser.add_argument("--json", type=Path, help="file to write the results to")
    options = parser.parse_args(arguments)
    options.scratch.mkdir(parents=True, exist_ok=True)
    measured = {
        kind: compare(kind, kind.part * options.gigapixels, options.scratch, options.runs)
        for kind in KINDS
        if options.kinds in kind.name
    }
    result = results(
        measured,
        {"gigapixels": options.gigapixels, "runs": options.runs},
        machine("pyvips-binary", "imagecodecs", "tifffile", "pydicom"),
    )
    tell(performance.containers(result), result, options.json)


if __name__ == "__main__":
    main()
