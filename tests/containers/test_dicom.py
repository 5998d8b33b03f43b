"""DICOM series of all layouts: frames where they belong, whole, and in their own colours."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from tests.slide.test_every_picture import apart, options, published
from tests.slide.test_icc import PROFILES
from tests.support.forge_dicom import (
    ABOVE,
    BY_TURNS,
    COLUMNS,
    GRID,
    HTJ2K,
    J2K,
    JLS,
    JPEG,
    ROWS,
    WHOLE,
    YCBCR,
    Change,
    as_ycbcr,
    bare,
    blocks,
    coded,
    concatenated,
    extended,
    focal_planes,
    fragmented,
    glass,
    instance,
    jpeg_xl,
    layered,
    positions,
    run_length,
    several,
    sparse,
    stated,
    without,
)
from tests.support.forge_tiffs import PICTURE, SIZE, TILE, Row, adobe, jpeg, tiles
from vsv_pyramid.containers import frames, instances
from vsv_pyramid.containers.dicom import dicom_base
from vsv_pyramid.containers.instances import series_of
from vsv_pyramid.containers.raw import RawTiles
from vsv_pyramid.conversion import convert
from vsv_pyramid.errors import SlideAccessError, SlideError, SlideIncomplete, SlideUnavailable
from vsv_pyramid.inspection import info
from vsv_pyramid.slide.pixels import open_slide
from vsv_pyramid.slide.series import series_in
from vsv_pyramid.verification import verify

LAYOUTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "one file": (lambda folder: instance(folder / "a.dcm", YCBCR), "lossless"),
    "RGB": (
        lambda folder: instance(
            folder / "a.dcm", tiles(rgb=True, marker=adobe(0)), photometric="RGB"
        ),
        "lossless",
    ),
    "other colours than are stated": (
        lambda folder: instance(folder / "a.dcm", YCBCR, photometric="RGB"),
        "lossless",
    ),
    "sparse": (sparse, "lossless"),
    "a concatenation": (concatenated, "lossless"),
    "fragments by a table": (lambda folder: fragmented(folder, has_table=True), "lossless"),
    "fragments without one": (lambda folder: fragmented(folder, has_table=False), "lossless"),
    "an extended table": (extended, "lossless"),
    "several instances": (several, "lossless"),
    "focal planes": (focal_planes, "lossless"),
    "sparse planes in parts": (
        lambda folder: layered(folder, [*WHOLE, *ABOVE], [len(GRID) + 4]),
        "lossless",
    ),
    "optical paths by turns": (lambda folder: layered(folder, BY_TURNS), "lossless"),
    "bare": (lambda folder: bare(folder, ExplicitVRLittleEndian), "pixels"),
    "bare, implicit": (lambda folder: bare(folder, ImplicitVRLittleEndian), "pixels"),
    "bare planes": (lambda folder: bare(folder, ExplicitVRLittleEndian, is_planar=True), "pixels"),
    "JPEG 2000": (
        lambda folder: coded(
            folder, J2K, lambda block: imagecodecs.jpeg2k_encode(block, level=0), "YBR_RCT"
        ),
        "pixels",
    ),
    "HTJ2K": (lambda folder: coded(folder, HTJ2K, imagecodecs.htj2k_encode, "RGB"), "pixels"),
    "JPEG XL": (jpeg_xl, "pixels"),
    "RLE": (lambda folder: coded(folder, RLELossless, run_length, "RGB"), "pixels"),
    "RLE in other colours": (
        lambda folder: coded(
            folder, RLELossless, lambda block: run_length(as_ycbcr(block)), "YBR_FULL"
        ),
        "pixels",
    ),
    "JPEG-LS": (lambda folder: coded(folder, JLS, imagecodecs.jpegls_encode, "RGB"), "pixels"),
}


LEFT_OUT = {
    "focal planes": ["1 further focal plane"],
    "sparse planes in parts": ["1 further focal plane"],
    "optical paths by turns": ["1 further optical path"],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_series_is_right(layout: str, tmp_path: Path) -> None:
    make, lane = LAYOUTS[layout]
    (tmp_path / "series").mkdir()
    slide = make(tmp_path / "series")
    facts = info(slide, options("auto"))
    assert (facts["container"], facts["plan"]["lane"]) == ("DICOM", lane)
    assert facts["mpp"] == {"x": 0.25, "y": 0.5} and facts["objective_power"] == 40
    assert facts["left_out"] == LEFT_OUT.get(layout, [])
    for wanted in "auto", "pixels":
        summary = convert(slide, str(tmp_path / wanted), options(wanted))
        assert apart(published(summary), PICTURE) < 4
        assert verify(summary.target, deep=True, against=slide).errors == []
        document = json.loads(Path(summary.target).with_name("slide.json").read_text())
        assert document["pyramid"]["blank_tiles"] == 0
        made = document["pyramid"]["decoded_by"]
        assert (made is None) == (wanted == "auto" and lane == "lossless")


def twice_there(folder: Path) -> None:
    layered(folder, WHOLE, [3], lambda data: setattr(data, "InConcatenationTotalNumber", 2))
    (folder / "1.dcm").unlink()
    shutil.copy(folder / "0.dcm", folder / "0 (1).dcm")


def without_the_first(folder: Path) -> None:
    layered(folder, WHOLE, [3])
    (folder / "0.dcm").unlink()


def fewer_places(folder: Path) -> None:
    instance(folder / "a.dcm", YCBCR, change=lambda data: positions(data, GRID[:6]))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (twice_there, "a part of its picture"),
        (without_the_first, "a part of its picture"),
        (fewer_places, "6 places for 12 frames"),
        (lambda folder: layered(folder, [*WHOLE[:6], *ABOVE]), "do not have the same tiles"),
        (
            lambda folder: layered(folder, [*WHOLE[:6], *((n, 0.0, "2") for n in range(6, 12))]),
            "do not have the same tiles",
        ),
    ],
)
def test_what_lacks_tiles_is_refused(
    make: Callable[[Path], object], told: str, tmp_path: Path
) -> None:
    """Which would be blank, or another plane's."""
    (tmp_path / "series").mkdir()
    make(tmp_path / "series")
    with pytest.raises(SlideError, match=told):
        convert(tmp_path / "series", tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_pipe_beside_it_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    slide = instance(tmp_path / "series/a.dcm", YCBCR)
    os.mkfifo(tmp_path / "series/b.dcm")
    assert info(slide)["width"] == info(tmp_path / "series")["width"] == SIZE[0]
    assert [one.place for one in series_in(tmp_path / "series").slides] == [tmp_path / "series"]


def test_another_area_is_told(tmp_path: Path) -> None:
    instance(tmp_path / "a.dcm", YCBCR)
    instance(tmp_path / "b.dcm", YCBCR[:3], size=(TILE, 3 * TILE))
    assert info(tmp_path / "a.dcm")["left_out"] == [
        f"a picture of {TILE} x {3 * TILE} px of another area"
    ]


def test_all_files_of_a_series_are_one_slide(tmp_path: Path) -> None:
    slide = several(tmp_path)
    assert (len(series_of(slide)), len(series_of(tmp_path / "0.dcm"))) == (4, 1)
    with open_slide(slide) as opened, open_slide(tmp_path / "LABEL.dcm") as other:
        assert opened.size == other.size == SIZE
        assert opened.level_sizes == (SIZE, (SIZE[0] // 4, SIZE[1] // 4))
        assert opened.associated_names == other.associated_names == ("label", "macro")
        assert np.asarray(opened.associated("label")).shape[:2] == (TILE, TILE)


def test_what_ends_openslide_does_not_end_us(tmp_path: Path, plain_opening: None) -> None:
    """An item that is longer than the sequence it is in: OpenSlide 4.0.1 ends the process."""
    slide = sparse(tmp_path)
    whole = bytearray(slide.read_bytes())
    sequence = whole.index(b"\x00\x52\x29\x92SQ")
    whole[whole.index(b"\xfe\xff\x00\xe0", sequence) + 4] = 255
    slide.write_bytes(whole)
    assert info(slide)["width"] == SIZE[0]
    summary = convert(slide, str(tmp_path / "to"), options("auto"))
    assert apart(published(summary), PICTURE) < 4
    assert verify(summary.target, deep=True, against=slide).errors == []


def _two_paths(said: Dataset) -> None:
    """With a profile and a lens each."""
    paths = []
    for name, power in ("1", 20), ("2", 40):
        light = Dataset()
        light.OpticalPathIdentifier, light.ObjectiveLensPower = name, power
        light.ICCProfile = PROFILES["LUT of 16 bits"] + name.encode() * 2  # of even length
        paths.append(light)
    said.OpticalPathSequence = Items(paths)


def _shared(name: str, *, full: bool) -> Callable[[Dataset], None]:
    def change(said: Dataset) -> None:
        _two_paths(said)
        light = Dataset()
        light.OpticalPathIdentifier = name
        said.SharedFunctionalGroupsSequence[0].OpticalPathIdentificationSequence = Items([light])
        if not full:
            positions(said, GRID)

    return change


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda folder: layered(folder, BY_TURNS, change=_two_paths), "1"),
        (lambda folder: layered(folder, BY_TURNS[1:] + BY_TURNS[:1], change=_two_paths), "2"),
        (lambda folder: instance(folder / "a.dcm", YCBCR, change=_two_paths), "1"),
        (lambda folder: instance(folder / "a.dcm", YCBCR, change=_shared("2", full=True)), "2"),
        (lambda folder: instance(folder / "a.dcm", YCBCR, change=_shared("2", full=False)), "2"),
        (lambda folder: instance(folder / "a.dcm", YCBCR, change=_shared("3", full=False)), ""),
    ],
)
def test_profile_and_lens_are_of_the_light_that_is_shown(
    tmp_path: Path, make: Callable[[Path], Path], path: str
) -> None:
    base = dicom_base(make(tmp_path))
    power = {"1": "20", "2": "40"}.get(path)
    assert base.properties.get("openslide.objective-power") == power
    assert (base.icc_profile or b"").removeprefix(PROFILES["LUT of 16 bits"]) == path.encode() * 2


def test_all_that_it_says_is_kept_in_private(tmp_path: Path) -> None:
    said = stated(PatientName="X^Y", BarcodeValue="S26-1", ImageComments="long " * 1000)
    slide = instance(tmp_path / "a.dcm", YCBCR, change=said)
    to, private = tmp_path / "to", tmp_path / "private"
    convert(slide, str(to), replace(options("auto"), private_to=str(private)))
    (record,) = private.rglob("slide.private.json")
    kept = json.loads(record.read_text())["properties"]
    power = kept["dicom.OpticalPathSequence[0].ObjectiveLensPower"]
    assert (kept["dicom.PatientName"], kept["dicom.BarcodeValue"]) == ("X^Y", "S26-1")
    assert (float(power), kept["openslide.objective-power"]) == (40, "40")
    assert kept["dicom.ImageType"] == "ORIGINAL\\PRIMARY\\VOLUME\\NONE"
    assert "dicom.ImageComments" not in kept
    published = b"".join(path.read_bytes() for path in to.rglob("*") if path.is_file())
    assert not any(word in published for word in (b"X^Y", b"S26-1"))
    cut = slide.read_bytes()[:300]
    slide.write_bytes(cut)
    assert instances.properties_of(slide) == {}


def test_pictures_of_the_glass(tmp_path: Path) -> None:
    small = [glass()]
    instance(tmp_path / "label.dcm", small, size=(TILE, TILE), kind="LABEL")
    with open_slide(concatenated(tmp_path)) as slide:
        assert slide.associated_names == ("label",)
        shown = np.asarray(slide.associated("label"))
        assert apart(shown, PICTURE[:TILE, :TILE]) < 4


def beside(said: Dataset) -> None:
    positions(said, [(x + 1, y) for x, y in GRID])


def outside(said: Dataset) -> None:
    positions(said, [(x + 1000 * TILE, y) for x, y in GRID])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (stated(ImageType=["ORIGINAL", "PRIMARY", "LABEL", "NONE"]), "and the slide is not beside"),
        (stated(ImageType=["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]), "a reduced one"),
        (stated(TotalPixelMatrixRows=SIZE[1] * 9), "a part of its picture"),
        (stated(SOPClassUID="1.2.840.10008.5.1.4.1.1.2"), "not one of a slide's"),
        (stated(SamplesPerPixel=1), "its SamplesPerPixel is 1, where it is 3 of slides"),
        (stated(BitsAllocated=16), "its BitsAllocated is 16"),
        (stated(BitsStored=7), "its BitsStored is 7"),
        (stated(HighBit=6), "its HighBit is 6"),
        (stated(PixelRepresentation=1), "its PixelRepresentation is 1"),
        (stated(PlanarConfiguration=2), "its PlanarConfiguration is 2, where it is 0 or 1"),
        (stated(PhotometricInterpretation="HSV"), "its PhotometricInterpretation is HSV, which"),
        (stated(ConcatenationFrameOffsetNumber=9), "a part of its picture"),
        (stated(Rows=0), "damaged or cut off"),
        (stated(Rows=60000, Columns=60000), "60000 x 60000 px are too large"),
        (without("Columns"), "damaged or cut off"),
        (without("TotalPixelMatrixColumns"), "damaged or cut off"),
        (beside, "lie on no grid"),
        (outside, "lie on no grid"),
        (
            stated(ConcatenationUID="1.2.77", InConcatenationTotalNumber=2),
            "a part of its picture",
        ),
    ],
)
def test_what_is_not_read_is_told(change: Change, sentence: str, tmp_path: Path) -> None:
    slide = instance(tmp_path / "a.dcm", YCBCR, change=change)
    with pytest.raises(SlideError) as refused:
        convert(slide, str(tmp_path / "out"), options("auto"))
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("syntax", "photometric", "sentence"),
    [
        (RLELossless, "YBR_FULL_422", "is YBR_FULL_422, which is not read of frames that are RLE"),
        ("1.2.840.10008.1.2.4.70", "YBR_FULL", "its frames are JPEG Lossless, "),
        *(
            (syntax, photometric, f"its PhotometricInterpretation is {photometric}, which")
            for syntax in (JPEG, J2K, JLS, ExplicitVRLittleEndian)
            for photometric in ("YBR_PARTIAL_420", "HSV", "XYB", "PALETTE COLOR")
        ),
    ],
)
def test_what_frames_are_not_read(
    syntax: str, photometric: str, sentence: str, tmp_path: Path
) -> None:
    slide = instance(tmp_path / "a.dcm", YCBCR, syntax=syntax, photometric=photometric)
    with pytest.raises(SlideError, match=sentence):
        info(slide, options("auto"))


def test_a_label_that_is_not_read_is_left_out(tmp_path: Path) -> None:
    slide = instance(tmp_path / "a.dcm", YCBCR)
    instance(tmp_path / "b.dcm", [glass()], kind="LABEL", size=(TILE, TILE))
    with open_slide(slide) as opened:
        assert list(opened.associated_names) == ["label"]
    instance(tmp_path / "b.dcm", [glass()], kind="LABEL", size=(TILE, TILE), photometric="HSV")
    with open_slide(slide) as opened:
        assert not opened.associated_names


def test_a_file_beside_it_that_cannot_be_read_may_be_the_slide(tmp_path: Path) -> None:
    """Without the base level, the next smaller one would be taken for it."""
    small = instance(tmp_path / "b.dcm", [glass()], size=(TILE, TILE // 2))
    base = instance(tmp_path / "c.dcm", YCBCR)
    whole = base.read_bytes()
    for length, sentence in (200, "c.dcm: cut off in its header"), (len(whole) // 3, "c.dcm"):
        base.write_bytes(whole[:length])
        with pytest.raises(SlideError) as refused:
            info(small, options("auto"))
        assert sentence in str(refused.value)
    pixels_at = whole.rindex(b"\xe0\x7f\x10\x00O")
    base.write_bytes(whole[:pixels_at])
    with pytest.raises(SlideIncomplete, match=r"its file c\.dcm has no pixels that can be found"):
        info(small, options("auto"))
    (tmp_path / "c.dcm").write_bytes(b"another file that is no DICOM")
    assert info(small, options("auto"))["width"] == TILE


@pytest.mark.parametrize(
    ("name", "error", "expected"),
    [
        ("z.dcm", SlideAccessError, SlideAccessError),
        ("z.log", SlideAccessError, None),
        ("z.log", SlideUnavailable, SlideUnavailable),
    ],
)
def test_a_file_beside_it_that_may_not_be_read(
    name: str,
    error: type[SlideError],
    expected: type[SlideError] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slide = instance(tmp_path / "a.dcm", YCBCR)
    (tmp_path / name).write_bytes(b"whatever")
    is_dicom = instances.is_dicom

    def refused(path: Path) -> bool:
        if path.name == name:
            raise error(path, "may not be read")
        return is_dicom(path)

    monkeypatch.setattr(instances, "is_dicom", refused)
    if expected:
        with pytest.raises(expected, match=name):
            series_of(slide)
    else:
        assert len(series_of(slide)) == 1


def test_two_pictures_of_full_size_are_told(tmp_path: Path) -> None:
    instance(tmp_path / "a.dcm", YCBCR)
    instance(tmp_path / "b.dcm", YCBCR[::-1])
    facts = info(tmp_path, options("auto"))
    assert facts["left_out"] == ["1 further picture of the same size"]
    assert facts["levels"] == [{"width": SIZE[0], "height": SIZE[1]}]


def unstated(said: Dataset) -> None:
    del said.TotalPixelMatrixFocalPlanes
    del said.NumberOfOpticalPaths


def test_layers_that_nobody_states_are_told(tmp_path: Path) -> None:
    slide = instance(tmp_path / "a.dcm", [*YCBCR, *YCBCR], change=unstated)
    assert info(slide, options("auto"))["left_out"] == [f"{len(YCBCR)} further frames"]


@pytest.mark.parametrize(
    ("count", "change"),
    [
        (len(YCBCR) + 1, stated()),
        (len(YCBCR) + 1, unstated),
        (2 * len(YCBCR), stated()),
        (len(YCBCR), stated(TotalPixelMatrixColumns=TILE)),
        (len(YCBCR), stated(TotalPixelMatrixRows=TILE)),
        (3 * len(YCBCR), stated(NumberOfOpticalPaths=2)),
    ],
)
def test_frames_of_another_grid_are_told(count: int, change: Change, tmp_path: Path) -> None:
    """The picture would be made of the first ones, in places that are not theirs."""
    slide = instance(tmp_path / "a.dcm", (YCBCR * 3)[:count], change=change)
    with pytest.raises(SlideError, match=f"it has {count} frames, where a picture of its size has"):
        info(slide, options("auto"))


@pytest.mark.parametrize("photometric", ["RGB", "YBR_RCT", "YBR_ICT", "YBR_FULL"])
@pytest.mark.parametrize("transformed", [True, False])
def test_jpeg_2000_and_what_it_states(photometric: str, transformed: bool, tmp_path: Path) -> None:
    def encode(block: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
        if photometric == "YBR_FULL" and not transformed:
            block = np.asarray(Image.fromarray(block).convert("YCbCr"))
        return bytes(imagecodecs.jpeg2k_encode(block, level=0, mct=transformed))

    slide = coded(tmp_path, J2K, encode, photometric)
    if photometric in ("YBR_RCT", "YBR_ICT") and not transformed:
        with pytest.raises(SlideError, match=f"are not coded as {photometric}.*export it anew"):
            info(slide, options("auto"))
        return
    assert apart(published(convert(slide, str(tmp_path / "out"), options("auto"))), PICTURE) < 2


def test_a_frame_of_another_size_is_damage(tmp_path: Path) -> None:
    frames = [bytes(imagecodecs.jpeg2k_encode(block, level=0)) for block in blocks()]
    other = np.zeros((TILE * 2, TILE // 2, 3), np.uint8)
    frames[2] = bytes(imagecodecs.jpeg2k_encode(other, level=0))
    slide = instance(tmp_path / "a.dcm", frames, syntax=J2K, photometric="RGB")
    with pytest.raises(SlideError, match="a frame of another size or depth than the series states"):
        convert(slide, str(tmp_path / "out"), options("auto"))


@pytest.mark.parametrize(
    "layout", ["one file", "fragments without one", "an extended table", "bare"]
)
@pytest.mark.parametrize("length", [0, 100, 131, 140, 700, 2000, -5000, -1000, -20])
def test_a_file_that_is_cut_off(length: int, layout: str, tmp_path: Path) -> None:
    slide = LAYOUTS[layout][0](tmp_path)
    slide.write_bytes(slide.read_bytes()[:length])
    with pytest.raises(SlideError):
        info(slide, options("auto"))
    with pytest.raises(SlideError):
        convert(slide, str(tmp_path / "out"), options("pixels"))


def test_parts_that_are_of_the_same_place_are_not_all(tmp_path: Path) -> None:
    slide = concatenated(tmp_path)
    last = dcmread(tmp_path / "7.dcm")
    last.ConcatenationFrameOffsetNumber = 0
    last.save_as(tmp_path / "7.dcm")
    with pytest.raises(SlideError, match="some of its frames are not there"):
        info(slide, options("auto"))


def test_a_tile_that_is_left_out_is_white(tmp_path: Path) -> None:
    slide = instance(tmp_path / "a.dcm", YCBCR[1:], change=lambda said: positions(said, GRID[1:]))
    shown = published(convert(slide, str(tmp_path / "out"), options("auto")))
    assert (shown[: TILE - 8, : TILE - 8] > 250).all()
    assert apart(shown[:, TILE + 8 :], PICTURE[:, TILE + 8 :]) < 4


def test_a_share_that_does_not_answer_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = instance(tmp_path / "a.dcm", YCBCR)

    class Away(io.BytesIO):
        trouble = OSError(5, "Input/output error")

        def __init__(self, _: Path) -> None:
            super().__init__(slide.read_bytes())

        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 500:
                raise self.trouble
            return super().read(size)

    for module in instances, frames:  # its elements, and the places of its frames
        with monkeypatch.context() as patch:
            patch.setattr(module, "Watched", Away)
            with pytest.raises(SlideUnavailable):
                dicom_base(slide)


def test_pydicom_agrees_on_the_frames(tmp_path: Path) -> None:
    slide = fragmented(tmp_path, has_table=False)
    base = dicom_base(slide)
    assert base
    frames = list(generate_frames(dcmread(slide).PixelData, number_of_frames=len(YCBCR)))
    with closing(RawTiles(base)) as raw:
        assert raw.read(range(COLUMNS), range(ROWS)) == frames


@pytest.mark.parametrize("layout", ["one file", "sparse", "a concatenation", "an extended table"])
def test_its_tiles_are_those_of_a_tiff_with_the_same_jpegs(layout: str, tmp_path: Path) -> None:
    """To the byte: what is proven of a TIFF's tiles holds for them."""
    make, _ = LAYOUTS[layout]
    (tmp_path / "series").mkdir()
    twin = Row("", [jpeg(YCBCR, "ycbcr")]).write(tmp_path / "twin.tif")
    versions = {
        json.loads(Path(summary.target).with_name("slide.json").read_text())["pyramid"]["version"]
        for slide in (make(tmp_path / "series"), twin)
        for summary in [convert(slide, str(tmp_path / "out"), options("lossless"))]
    }
    assert len(versions) == 1


def is_told(path: Path) -> bool:
    """Whether the slide is refused, in a sentence, and not shown."""
    try:
        with open_slide(path) as slide:
            slide.read(0, 0, slide.size)
    except SlideError as exc:
        assert "\n" not in str(exc)
        return True
    return False


@pytest.mark.parametrize("length", [1, 6, 100, 2**31])
def test_sequences_that_end_elsewhere_are_told(length: int, tmp_path: Path) -> None:
    """Each in turn, and what is in them: pydicom looks there only when it is asked."""
    data = sparse(tmp_path).read_bytes()
    end, at, told = data.rindex(b"\xe0\x7f\x10\x00O"), 0, 0
    while (at := data.find(b"SQ\0\0", at + 1, end)) > 0:
        made = bytearray(data)
        made[at + 4 : at + 8] = length.to_bytes(4, "little")
        (tmp_path / "a.dcm").write_bytes(made)
        told += is_told(tmp_path / "a.dcm")
    assert told > 2


def test_a_header_of_no_sense_is_told(tmp_path: Path) -> None:
    """Whichever of its elements: their kinds, and their lengths."""
    data = instance(tmp_path / "a.dcm", YCBCR).read_bytes()
    end, at, told = data.index(b"\x08\x00\x08\x00CS"), 0, 0
    while 0 < (at := data.find(b"\x02\x00", at + 1)) < end:
        for change in b"F\0", b"UL", b"OB", b"\xff\xff":
            made = bytearray(data)
            made[at + 4 : at + 6] = change
            (tmp_path / "a.dcm").write_bytes(made)
            told += is_told(tmp_path / "a.dcm")
    assert told > 3


def stated_otherwise(path: Path, syntax: str) -> Path:
    """The file with another transfer syntax in its header, and its elements as they are."""
    data = path.read_bytes()
    stated = str(dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID)

    def element(uid: str) -> bytes:
        value = uid.encode() + b"\0" * (len(uid) % 2)
        return b"\x02\0\x10\0UI" + struct.pack("<H", len(value)) + value

    at = data.index(b"\x02\0\0\0UL") + 8
    (length,) = struct.unpack_from("<I", data, at)
    grown = length + len(element(syntax)) - len(element(stated))
    head = data[:at] + struct.pack("<I", grown)
    path.write_bytes(head + data[at + 4 :].replace(element(stated), element(syntax), 1))
    return path


@pytest.mark.parametrize(
    ("written", "stated_as"),
    [
        (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        (ImplicitVRLittleEndian, ExplicitVRLittleEndian),
    ],
)
def test_bare_pixels_begin_where_they_do(written: str, stated_as: str, tmp_path: Path) -> None:
    slide = stated_otherwise(bare(tmp_path, written), stated_as)
    assert stated_as.encode() in slide.read_bytes()[:400]
    assert apart(published(convert(slide, str(tmp_path / "out"), options("auto"))), PICTURE) < 2


@pytest.mark.parametrize("more", [-3 * TILE * TILE, 3 * TILE * TILE, 2])
def test_bare_pixels_of_another_length_are_told(more: int, tmp_path: Path) -> None:
    """What lies behind them is no picture."""
    slide = bare(tmp_path, ExplicitVRLittleEndian)
    data = slide.read_bytes()
    at = data.rindex(b"\xe0\x7f\x10\0") + 8
    (length,) = struct.unpack_from("<I", data, at)
    behind = b"\xfc\xff\xfc\xffOB\0\0" + struct.pack("<I", 10_000) + bytes(10_000)
    pixels = (data[at + 4 :] + bytes(max(0, more)))[: length + more]
    slide.write_bytes(data[:at] + struct.pack("<I", length + more) + pixels + behind)
    with pytest.raises(SlideError, match=f"pixels of {length + more} bytes where its frames take"):
        info(slide, options("auto"))


def bare_part(folder: Path, first: int, last: int, **more: Any) -> Path:
    def part(said: Dataset) -> None:
        said.ConcatenationUID, said.InConcatenationTotalNumber = "1.9", 2
        said.ConcatenationFrameOffsetNumber = first
        stated(**more)(said)

    frames = [block.tobytes() for block in blocks()[first:last]]
    return instance(
        folder / f"{first}.dcm",
        frames,
        syntax=ExplicitVRLittleEndian,
        photometric="RGB",
        change=part,
    )


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"PlanarConfiguration": 1},
        {"PhotometricInterpretation": "YBR_FULL"},
        {"TotalPixelMatrixColumns": SIZE[0] - 1},
        {"Rows": TILE // 2, "Columns": TILE * 2},
    ],
)
def test_parts_that_are_stored_in_several_ways_are_told(
    more: dict[str, Any], tmp_path: Path
) -> None:
    slide = bare_part(tmp_path, 0, 6)
    bare_part(tmp_path, 6, len(YCBCR), **more)
    if not more:
        shown = published(convert(slide, str(tmp_path / "out"), options("auto")))
        assert apart(shown, PICTURE) < 2
        return
    with pytest.raises(SlideError, match="are stored in several ways"):
        info(slide, options("auto"))


def test_a_frame_without_a_byte_is_told(tmp_path: Path) -> None:
    """It is no tile that was left out: that would have no place."""
    empty = b"\xfe\xff\0\xe0" + bytes(4)
    even = [frame + b"\0" * (len(frame) % 2) for frame in YCBCR]
    items = [b"\xfe\xff\0\xe0" + struct.pack("<I", len(frame)) + frame for frame in even]
    slide = instance(
        tmp_path / "a.dcm",
        YCBCR,
        encoded=empty + b"".join([*items[:5], empty, *items[6:]]),
        change=lambda said: positions(said, GRID),
    )
    with pytest.raises(SlideError, match="a frame without a byte"):
        info(slide, options("auto"))


def test_frames_are_in_the_order_of_their_table(tmp_path: Path) -> None:
    order = list(range(len(YCBCR)))[::-1]
    data = bytearray(encapsulate([YCBCR[n] for n in order], has_bot=True))
    offsets = struct.unpack_from(f"<{len(order)}I", data, 8)
    struct.pack_into(f"<{len(order)}I", data, 8, *offsets[::-1])
    slide = instance(tmp_path / "a.dcm", YCBCR, encoded=bytes(data))
    base = dicom_base(slide)
    with closing(RawTiles(base)) as raw:
        found = raw.read(range(COLUMNS), range(ROWS))
    assert found == [frame + b"\0" * (len(frame) % 2) for frame in YCBCR]
    struct.pack_into("<I", data, 8, offsets[3] + 2)
    with pytest.raises(SlideError, match="leads beside its frames"):
        dicom_base(instance(tmp_path / "a.dcm", YCBCR, encoded=bytes(data)))


@pytest.mark.parametrize("said", [None, 1])
def test_focal_planes_that_nobody_states(said: int | None, tmp_path: Path) -> None:
    def change(data: Dataset) -> None:
        data.TotalPixelMatrixFocalPlanes = said
        if said is None:
            del data.TotalPixelMatrixFocalPlanes

    by_turns = [(n, z, "1") for n in range(len(GRID)) for z in ((0.0, 0.002), (0.002, 0.0))[n % 2]]
    slide = layered(tmp_path, by_turns, change=change)
    assert apart(published(convert(slide, str(tmp_path / "out"), options("auto"))), PICTURE) < 4


@pytest.mark.parametrize("name", ["PhotometricInterpretation", "Rows", "TotalPixelMatrixColumns"])
def test_a_label_that_is_damaged_is_left_out(name: str, tmp_path: Path) -> None:
    slide = instance(tmp_path / "a.dcm", YCBCR)
    instance(tmp_path / "b.dcm", [glass()], kind="LABEL", size=(TILE, TILE), change=without(name))
    assert info(slide, options("auto"))["left_out"] == ["a label that cannot be read"]


def test_frames_that_nobody_has_placed_are_all_there_are(tmp_path: Path) -> None:
    slide = instance(tmp_path / "a.dcm", YCBCR, change=without("DimensionOrganizationType"))
    assert apart(published(convert(slide, str(tmp_path / "out"), options("auto"))), PICTURE) < 4
