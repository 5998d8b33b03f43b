"""What is published of an ICC profile: its colours to the last digit, and not a word of it."""

from __future__ import annotations

import io
import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, features

from tests.support.forge import forge_svs
from vsv_pyramid.conversion import convert
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.slide.icc import mismatch, published_profile
from vsv_pyramid.slide.pixels import open_slide
from vsv_pyramid.verification import verify

if not features.check("littlecms2"):
    pytest.skip("this Pillow has no LittleCMS", allow_module_level=True)

NAME = "Jane Doe"
ASCII, WIDE, SWAPPED = (NAME.encode(name) for name in ("ascii", "utf-16-be", "utf-16-le"))
HEADER = struct.Struct(">I4s2B2s4s4s4s12s4s4s4s4s4s8sI12s4s16s28s")
D50 = (0.9642, 1.0, 0.8249)


def number(value: float) -> int:
    """An s15Fixed16Number."""
    return round(value * 65536)


def xyz(*values: float) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *map(number, values))


def sf32(*values: float) -> bytes:
    return struct.pack(f">4s4x{len(values)}i", b"sf32", *map(number, values))


def curv(*values: int) -> bytes:
    return struct.pack(f">4s4xI{len(values)}H", b"curv", len(values), *values)


def para(function: int, *values: float) -> bytes:
    return struct.pack(f">4s4xH2x{len(values)}i", b"para", function, *map(number, values))


def mluc(text: str) -> bytes:
    data = text.encode("utf-16-be")
    return struct.pack(">4s4x2I4s2I", b"mluc", 1, 12, b"deDE", len(data), 28) + data


def described(text: str) -> bytes:
    """A textDescription, with Unicode and Macintosh text."""
    ascii, wide = text.encode() + b"\0", (text + "\0").encode("utf-16-be")
    counted = struct.pack(">I", len(ascii)) + ascii + struct.pack(">4sI", b"enGB", len(text) + 1)
    return b"desc" + bytes(4) + counted + wide + struct.pack(">HB67s", 0, len(ascii), ascii)


def random(size: int, depth: int) -> bytes:
    """So many numbers of `depth` bytes."""
    return np.random.default_rng(size).bytes(size * depth)


def matrix() -> bytes:
    return struct.pack(">9i", *map(number, (1, 0, 0, 0, 1, 0, 0, 0, 1)))


def mft1(grid: int = 5) -> bytes:
    tables = bytes(range(256)) * 3
    return b"mft1" + bytes(4) + bytes([3, 3, grid, 0]) + matrix() + tables + random(
        grid**3 * 3, 1
    ) + tables  # fmt: skip


def mft2(grid: int = 4) -> bytes:
    curve = struct.pack(">3H", 0, 20000, 65535) * 3
    start = bytes([3, 3, grid, 0]) + matrix() + struct.pack(">2H", 3, 3)
    return b"mft2" + bytes(4) + start + curve + random(grid**3 * 3, 2) + curve


def modular(kind: bytes, width: int = 2, gap: bytes = ASCII) -> bytes:
    """An lutAToB or lutBToA with all five elements, and a gap before each."""
    curves = para(0, 1.8) + curv(0, 30000, 65535) + b"\xee\xee" + curv()
    grid = bytes([3, 4, 5]) + bytes(13) + bytes([width, 0, 0, 0]) + random(60 * 3, width)
    shift = struct.pack(">12i", *map(number, (0.9, 0, 0, 0, 0.8, 0, 0, 0, 0.7, 0.1, 0.1, 0.1)))
    places, body = [], b""
    for element in (curves, shift, curves, grid, curves):
        body += gap
        places.append(32 + len(body))
        body += element + bytes(-len(element) % 4)
    return struct.pack(">4s4x2B2x5I", kind, 3, 3, *places) + body


def profile(
    tags: Mapping[bytes, bytes],
    *,
    version: tuple[int, int] = (2, 0x40),
    kind: bytes = b"scnr",
    space: bytes = b"RGB ",
    pcs: bytes = b"Lab ",
    gap: bytes = b"",
    behind: bytes = b"",
    signature: bytes = bytes(4),
) -> bytes:
    """A profile with a gap before the data of each tag, and something behind its end."""
    at = 132 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        body += gap
        table += struct.pack(">4s2I", name, at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = HEADER.pack(
        at + len(body), signature, *version, signature[:2], kind, space, pcs, signature * 3,
        b"acsp", signature, signature, signature, signature, signature * 2, 1, xyz(*D50)[8:],
        signature, signature * 4, signature * 7,
    )  # fmt: skip
    return header + table + body + behind


TEXTS = {b"desc": described("a scanner"), b"cprt": b"text" + bytes(4) + b"mine\0"}
WHITE = {b"wtpt": xyz(0.9505, 1, 1.0891)}
MATRIX = {
    **WHITE,
    **{b"rXYZ": xyz(0.43, 0.22, 0.01), b"rTRC": curv(563)},
    **{b"gXYZ": xyz(0.38, 0.71, 0.1), b"gTRC": curv(0, 9000, 30000, 65535)},
    **{b"bXYZ": xyz(0.14, 0.06, 0.7), b"bTRC": para(0, 2.2)},
}
CHAD = {b"chad": sf32(1.05, 0.02, -0.05, 0.03, 0.99, -0.02, -0.01, 0.02, 0.75)}
LUT = {**WHITE, b"A2B0": mft2()}


def built_in(name: Literal["sRGB", "LAB"]) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


PROFILES = {
    "sRGB": built_in("sRGB"),
    "matrix": profile({**TEXTS, **MATRIX}, pcs=b"XYZ "),
    "matrix, version 4": profile({**MATRIX, **CHAD}, pcs=b"XYZ ", version=(4, 0x30)),
    "gray": profile({**WHITE, b"kTRC": curv(500)}, space=b"GRAY", pcs=b"XYZ "),
    "LUT of 16 bits": profile(LUT),
    "LUT of 8 bits": profile({**WHITE, b"A2B0": mft1()}),
    "LUT for each intent": profile(
        {**WHITE, b"A2B0": mft1(), b"A2B1": mft2(), b"A2B2": mft2(7), b"B2A0": mft2(3)}
    ),
    "LUT beside a matrix": profile({**MATRIX, b"A2B0": mft2()}, pcs=b"XYZ "),
    "elements": profile({**WHITE, b"A2B0": modular(b"mAB ")}, version=(4, 0x20)),
    "elements of 8 bits": profile(
        {**WHITE, b"A2B0": modular(b"mAB ", 1), b"B2A0": modular(b"mBA ", 1)}, version=(4, 0x20)
    ),
    "elements in both directions": profile(
        {**WHITE, b"A2B0": modular(b"mAB "), b"B2A0": modular(b"mBA ")}, version=(4, 0x20)
    ),
}
MODES = {b"RGB ": "RGB", b"GRAY": "L", b"Lab ": "LAB"}


def opened(data: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(data))


def transformed(
    data: bytes, intent: ImageCms.Intent, flags: ImageCms.Flags, *, into: bool = False
) -> bytes:
    """Random pixels out of the profile's colours into sRGB, or the other way."""
    ends = [(opened(data), MODES[data[16:20]]), (opened(PROFILES["sRGB"]), "RGB")]
    (source, mode), (target, made) = reversed(ends) if into else ends
    transform = ImageCms.buildTransform(source, target, mode, made, intent, flags)
    pixels = random(64 * 64, 1 if mode == "L" else 3)
    done = ImageCms.applyTransform(Image.frombytes(mode, (64, 64), pixels), transform)
    assert done is not None
    return done.tobytes()


def cleaned(data: bytes) -> bytes:
    found = published_profile(data)
    assert found is not None
    return found


@pytest.mark.parametrize("intent", ImageCms.Intent)
@pytest.mark.parametrize("data", [*PROFILES.values(), built_in("LAB")], ids=[*PROFILES, "Lab"])
def test_the_colours_are_the_same(data: bytes, intent: ImageCms.Intent) -> None:
    for flags in ImageCms.Flags.NONE, ImageCms.Flags.BLACKPOINTCOMPENSATION:
        assert transformed(cleaned(data), intent, flags) == transformed(data, intent, flags)


@pytest.mark.parametrize("name", ["sRGB", "matrix", "gray", "LUT for each intent",
                                  "elements in both directions", "elements of 8 bits"])  # fmt: skip
def test_the_colours_are_the_same_the_other_way(name: str) -> None:
    data, none = PROFILES[name], ImageCms.Flags.NONE
    intent = ImageCms.Intent.PERCEPTUAL
    assert transformed(cleaned(data), intent, none, into=True) == transformed(
        data, intent, none, into=True
    )


@pytest.mark.parametrize("data", PROFILES.values(), ids=PROFILES)
def test_a_published_profile_is_a_whole_one(data: bytes) -> None:
    found = cleaned(data)
    said = opened(found).profile
    assert (said.version, said.device_class) == (
        opened(data).profile.version,
        opened(data).profile.device_class,
    )
    assert said.profile_description == "Colours of a slide"
    assert said.copyright == "Not stated"
    assert said.header_manufacturer is None or not said.header_manufacturer.strip("\0")
    assert int.from_bytes(found[:4], "big") == len(found)
    assert not any(found[48:56] + found[80:128])
    assert published_profile(found) == found


def test_the_header_states_what_the_standard_defines() -> None:
    said = cleaned(profile(MATRIX, pcs=b"XYZ ", signature=b"\xff" * 4))[4:]
    assert said.startswith(bytes(4) + b"\2\x40\0\0" + b"scnrRGB XYZ ")
    assert said[20:].startswith(bytes.fromhex("07d0 0002 0001 0000 0000 0000") + b"acsp")
    assert said[36:64] == bytes(23) + b"\x0f" + b"\0\0\0\1"
    assert said[64:124] == xyz(*D50)[8:] + bytes(48)


def test_the_tags_of_the_transform_are_kept() -> None:
    tags = {**TEXTS, **MATRIX, **CHAD, b"bkpt": xyz(0, 0, 0), b"lumi": xyz(80, 80, 80)}
    found = cleaned(profile(tags, pcs=b"XYZ "))
    (count,) = struct.unpack_from(">I", found, 128)
    kept = {name for name, _, _ in struct.iter_unpack(">4s2I", found[132 : 132 + 12 * count])}
    assert kept == tags.keys() - {b"lumi"}


def test_every_byte_is_of_a_tag() -> None:
    found = cleaned(profile({**TEXTS, **MATRIX}, pcs=b"XYZ ", gap=b"gaps"))
    (count,) = struct.unpack_from(">I", found, 128)
    ends = [132 + 12 * count]
    places = {place[1:] for place in struct.iter_unpack(">4s2I", found[132 : ends[0]])}
    for at, length in sorted(places):
        assert at == ends[-1] + -ends[-1] % 4
        ends.append(at + length)
    assert len(found) == ends[-1] + -ends[-1] % 4


def test_tags_that_share_data_still_do() -> None:
    curve = curv(*range(0, 65536, 16))
    tags = {**MATRIX, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    assert len(cleaned(profile(tags, pcs=b"XYZ "))) < 2 * len(curve)


PLANTED = {
    **{b"desc": described(NAME), b"dmnd": described(NAME), b"dmdd": mluc(NAME)},
    **{b"cprt": b"text" + bytes(4) + ASCII + b"\0", b"Doe ": b"Doe " + ASCII},
    **{b"view": b"view" + bytes(4) + ASCII, b"tech": b"sig " + bytes(4) + b"Doe "},
    **{b"meta": b"dict" + bytes(8) + WIDE, b"targ": b"text" + ASCII, b"pseq": b"pseq" + ASCII},
}


@pytest.mark.parametrize("version", [(2, 0x40), (4, 0x30)])
@pytest.mark.parametrize(
    "tags",
    [
        {name: data + ASCII for name, data in {**MATRIX, **CHAD}.items()},
        {**WHITE, b"A2B0": mft2() + ASCII, b"A2B1": mft1() + ASCII},
        {**WHITE, b"A2B0": modular(b"mAB ") + ASCII},
    ],
    ids=["matrix", "LUT", "elements"],
)
def test_a_name_is_nowhere_in_it(tags: dict[bytes, bytes], version: tuple[int, int]) -> None:
    """It is in every text, in private tags, behind each tag's numbers, between the tags, behind
    the end, and in all the header's signatures; even in bytes that are reserved."""
    reserved = {name: data[:4] + b"Doe " + data[8:] for name, data in tags.items()}
    data = profile(
        {**PLANTED, **reserved},
        version=version,
        gap=ASCII + WIDE,
        behind=SWAPPED,
        signature=b"Doe ",
    )
    found = cleaned(data)
    for word in "Jane", "Doe":
        for encoding in "ascii", "utf-16-be", "utf-16-le":
            assert word.encode(encoding) in data
            assert word.encode(encoding) not in found
    opened(found)


def entry(data: bytes, name: bytes) -> int:
    """Where the tag's place in the table is."""
    at = data.index(name, 128)
    assert (at - 132) % 12 == 0
    return at


def put(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


GOOD = PROFILES["matrix"]
FOUR = (4, 0x20)
HUGE = b"\xff\xff\xff\xf0"
ELEMENTS = modular(b"mAB ")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no profile",
        GOOD[:127],
        GOOD[:131],
        GOOD[:140],
        GOOD[:-8],
        bytes(len(GOOD)),
        put(GOOD, 0, struct.pack(">I", len(GOOD) + 1)),
        put(GOOD, 0, bytes(4)),
        put(GOOD, 36, b"ACSP"),
        put(GOOD, 8, b"\x05"),
        put(GOOD, 12, b"link"),
        put(GOOD, 16, b"Jane"),
        put(GOOD, 20, b"Jane"),
        put(GOOD, 128, HUGE),
        put(GOOD, entry(GOOD, b"wtpt"), b"rXYZ"),  # twice
        put(GOOD, entry(GOOD, b"gXYZ"), b"Jane"),
        put(GOOD, entry(GOOD, b"gXYZ") + 4, HUGE),
        put(GOOD, entry(GOOD, b"gXYZ") + 4, bytes(4)),
        put(GOOD, entry(GOOD, b"gXYZ") + 8, HUGE),
        put(GOOD, entry(GOOD, b"gXYZ") + 8, struct.pack(">I", 19)),
        put(GOOD, entry(GOOD, b"cprt") + 8, HUGE),
        profile({**MATRIX, b"rTRC": mluc(NAME)}),
        profile({**MATRIX, b"rTRC": b"curv" + bytes(4) + HUGE}),
        profile({**MATRIX, b"rTRC": para(5, 1)}),
        profile({**MATRIX, b"rTRC": para(4, 1)}),
        profile({**MATRIX, b"D2B0": b"mpet" + bytes(12)}),
        profile({**MATRIX, b"cicp": b"cicp" + bytes(8)}),
        profile({b"A2B1": mft2()}),
        profile({b"A2B0": mft2()[:-1]}),
        profile({b"A2B0": put(mft2(), 8, b"\xff\xff\xff")}),
        profile({b"A2B0": mft1()[:-1]}),
        profile({b"A2B0": modular(b"mBA ")}),
        profile({b"A2B0": put(ELEMENTS, 12, HUGE)}, version=FOUR),
        profile({b"A2B0": put(ELEMENTS, 12, struct.pack(">I", 42))}, version=FOUR),
        profile({b"A2B0": put(ELEMENTS, 24, HUGE)}, version=FOUR),
        profile({b"A2B0": put(ELEMENTS, 28, b"\0\0\0\x08")}, version=FOUR),
        profile({b"A2B0": ELEMENTS}, version=FOUR, gap=b"12"),  # not aligned
        profile({b"A2B0": modular(b"mAB ", gap=b"12")}, version=FOUR),
        profile({}),
    ],
)
def test_a_damaged_profile_is_withheld(data: bytes) -> None:
    assert published_profile(data) is None


OTHERS = {
    "CMYK": (profile(LUT, kind=b"prtr", space=b"CMYK"), "it is of CMYK colours, and the tiles"),
    "gray": (PROFILES["gray"], "it is of gray colours, and the tiles are RGB"),
    "Lab": (profile(LUT, space=b"Lab "), "it is of Lab colours, and the tiles are RGB"),
    "XYZ": (profile(LUT, kind=b"spac", space=b"XYZ "), "it is of XYZ colours"),
    "YCbCr": (profile(LUT, space=b"YCbr"), "it is of YCbCr colours"),
    "six inks": (profile(LUT, kind=b"prtr", space=b"6CLR"), "it is of other colours"),
    "a name": (profile(LUT, space=b"Doe "), "it is of other colours"),
    "abstract": (built_in("LAB"), "it is an abstract one, and describes no pixels"),
    "link": (profile(LUT, kind=b"link"), "it is a device link, and describes no pixels"),
    "named": (profile(LUT, kind=b"nmcl"), "it is of named colours, and describes no pixels"),
}


@pytest.mark.parametrize(("data", "why"), OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("color", ["none", "srgb"])
def test_a_profile_of_other_things_is_neither_published_nor_applied(
    real_slide: Path, tmp_path: Path, data: bytes, why: str, color: str
) -> None:
    slide, plain = tmp_path / "a.svs", tmp_path / "b.svs"
    forge_svs(slide, tissue=real_slide, size=(300, 200), levels=(1,), icc=data)
    forge_svs(plain, tissue=real_slide, size=(300, 200), levels=(1,))
    options = ConvertOptions(color=color, workers=1)
    summary, other = (convert(path, str(tmp_path / "to"), options) for path in (slide, plain))
    assert any(
        note.startswith(f"the slide's ICC profile was withheld: {why}") for note in summary.notes
    )
    assert not Path(summary.target).with_name("icc.icc").exists()
    facts, others = (
        json.loads(Path(made.target).with_name("slide.json").read_text())
        for made in (summary, other)
    )
    assert facts["icc_profile"] == "withheld"
    assert facts["icc_profile_reason"].startswith(why)
    assert (others["icc_profile"], others["icc_profile_reason"]) == (None, None)
    assert facts["pyramid"]["version"] == others["pyramid"]["version"]
    assert verify(summary.target).errors == []


@pytest.mark.parametrize("kind", [b"scnr", b"mntr", b"prtr", b"spac"])
def test_a_profile_of_rgb_pixels_is_one_whatever_device_it_is_of(kind: bytes) -> None:
    assert mismatch(profile(LUT, kind=kind)) is None


def test_what_is_behind_the_stated_size_is_no_damage() -> None:
    assert published_profile(GOOD + ASCII) == published_profile(GOOD)


@given(
    data=st.sampled_from(list(PROFILES.values())),
    changes=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=6))),
    header=st.lists(st.tuples(st.integers(0, 300), st.binary(min_size=1, max_size=4))),
    end=st.one_of(st.none(), st.floats(0, 1)),
)
def test_whatever_comes_out_is_a_profile(
    data: bytes,
    changes: list[tuple[float, bytes]],
    header: list[tuple[int, bytes]],
    end: float | None,
) -> None:
    for place, value in changes:
        data = put(data, math.floor(place * len(data)), value)
    for at, value in header:
        data = put(data, at, value)
    found = published_profile(data if end is None else data[: math.floor(end * len(data))])
    if found is not None:
        assert opened(found).profile.profile_description == "Colours of a slide"
        assert published_profile(found) == found


@given(st.binary(max_size=400))
def test_any_bytes_are_withheld(data: bytes) -> None:
    assert published_profile(data) is None


def test_a_slides_own(real_slide: Path, tmp_path: Path) -> None:
    slide = tmp_path / "a.svs"
    forge_svs(slide, tissue=real_slide, size=(500, 400), levels=(1,), icc=PROFILES["matrix"])
    with open_slide(slide) as found:
        assert found.icc_profile == PROFILES["matrix"]
        assert found.published_icc == published_profile(PROFILES["matrix"])
    with open_slide(real_slide) as found:
        assert found.icc_profile is found.published_icc is None
