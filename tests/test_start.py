"""What a start costs: a command imports what it uses, and memory is not asked for twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

VERSION = """
__main__ cli cli.display cli.main cli.messages cli.streams errors layout layout.descriptor
layout.documents layout.geometry layout.keys layout.shapes review review.history review.typed
runtime runtime.clock runtime.signals slide slide.excluded slide.pseudonyms versions words
"""
CONVERT = f"""
{VERSION}
catalog catalog_json cli.convert cli.help cli.options cli.store_options containers containers.codecs
containers.dicom containers.frame_kinds containers.frames containers.instances containers.pages
containers.raw containers.reading containers.tiff conversion conversion.listing conversion.making
conversion.summary destination destination.former destination.layouts destination.tie facts jpeg
jpeg._splice jpeg.colour jpeg.encode jpeg.join jpeg.kernel jpeg.markers jpeg.planes jpeg.stream
layout.bounds packed packed.published places planning planning.decision planning.ids planning.lanes
planning.options planning.plan publication publication.uploads pyramid pyramid.copied
pyramid.decoded pyramid.images pyramid.leaves pyramid.planes pyramid.quadtree pyramid.srgb
review.barcode review.failures review.outcome review.records review.rescans runtime.folders
runtime.locks runtime.progress runtime.threads slide.decoding slide.files slide.handles slide.icc
slide.metadata slide.names slide.pixels slide.plain slide.remote slide.samples slide.scale
slide.scratch slide.search slide.series slide.signatures slide.source slide.tiles slide_json store
store.base store.directory store.enclosed store.disk store.edits store.listing store.moves
store.options
"""
# Older ones of simplejpeg are made with cffi, and newer ones of OpenSlide with openslide_bin.
OF_OTHERS = {"PIL", "cffi", "click", "numpy", "openslide", "openslide_bin", "simplejpeg"}
IMPORTED = """
import atexit, sys
of_python = set(sys.modules)  # a system's own sitecustomize among them
atexit.register(lambda: print("\\n" + " ".join(set(sys.modules) - of_python)))
from vsv_pyramid.__main__ import main
main()
"""


def imported(*words: object) -> tuple[set[str], set[str]]:
    """The package's own modules, without its name, and the others' packages, of a command."""
    command = [sys.executable, "-c", IMPORTED, *map(str, words)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    modules = printed.splitlines()[-1].split()
    standard = {"cython_runtime", *sys.stdlib_module_names}
    others = {name.partition(".")[0] for name in modules} - standard - {"vsv_pyramid"}
    own = {name.removeprefix("vsv_pyramid.") for name in modules if name.startswith("vsv_pyramid.")}
    return own, {name for name in others if not name.startswith("_")}


def test_the_version() -> None:
    own, others = imported("--version")
    assert own == set(VERSION.split())
    assert others <= OF_OTHERS


def test_a_conversion_into_a_folder(small_slide: Path, tmp_path: Path) -> None:
    own, others = imported("convert", small_slide, "--to", tmp_path)
    assert own == set(CONVERT.split())
    read = {"msgspec", "typing_extensions"}  # what the catalog is made of
    assert others <= OF_OTHERS | read | {"imagecodecs", "tifffile", "xxhash"}


FAULTS = """
import resource, sys
from vsv_pyramid.__main__ import _keep_memory

if sys.argv[1] == "kept":
    _keep_memory()
for number in range(103):
    if number == 3:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tile = [bytes(1 << 20) for _ in range(6)]
    del tile
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Other systems have another malloc")
def test_the_next_tile_takes_the_memory_of_the_one_before() -> None:
    faults = {}
    for way in "kept", "given back":
        command = [sys.executable, "-c", FAULTS, way]
        faults[way] = int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    assert faults["kept"] * 5 < faults["given back"]
