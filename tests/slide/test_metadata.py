"""What slides say of themselves, and the traps in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tifffile import imwrite

from tests.support.forge_tiffs import JFIF, Row, jpeg, tiles
from vsv_pyramid.facts import zone_of
from vsv_pyramid.layout.geometry import Size
from vsv_pyramid.slide.metadata import metadata, native_tile
from vsv_pyramid.slide.pixels import open_slide

PLAIN = {"openslide.vendor": "generic-tiff"}
DATE = {"aperio.Date": "12/29/09", "aperio.Time": "09:59:15"}


def mpp(x: str, y: str | None = None) -> dict[str, str]:
    return {"openslide.mpp-x": x, "openslide.mpp-y": y or x}


def described(text: str, length: str = "0.25") -> dict[str, str]:
    return {**mpp(length), **PLAIN, "tiff.ImageDescription": text}


VIPS = (
    '<?xml version="1.0"?>\n<image xmlns="http://www.vips.ecs.soton.ac.uk/" version="8.18.0">\n'
    "  <properties><property><name>{}</name></property></properties>\n</image>"
)


def ome(*images: dict[str, str], **attributes: str) -> str:
    pixels = ""
    for image in images or [attributes]:
        said = " ".join(f'{key}="{value}"' for key, value in image.items())
        pixels += f"<Image><Pixels {said}></Pixels></Image>"
    return f'<?xml version="1.0"?><!-- OME-XML, -- see -->\n<OME xmlns="http://x">{pixels}</OME>'


def sized(length: str, unit: str, **more: str) -> str:
    stated = {"PhysicalSizeX": length, "PhysicalSizeXUnit": unit}
    return ome(**stated, PhysicalSizeY=length, PhysicalSizeYUnit=unit, **more)


@pytest.mark.parametrize(
    ("properties", "scanned"),
    [
        ({}, None),
        (DATE, "2009-12-29T09:59:15"),
        ({**DATE, "aperio.Date": "01/31/2021"}, "2021-01-31T09:59:15"),
        ({**DATE, "aperio.Time Zone": "GMT-0500"}, "2009-12-29T09:59:15-05:00"),
        ({**DATE, "aperio.Time Zone": "GMT+05:30"}, "2009-12-29T09:59:15+05:30"),
        ({**DATE, "aperio.Time Zone": "GMT+429496728800"}, "2009-12-29T09:59:15-08:00"),
        ({**DATE, "aperio.Time Zone": "GMT+9900"}, "2009-12-29T09:59:15"),
        ({**DATE, "aperio.Time Zone": "GMT+0099"}, "2009-12-29T09:59:15"),
        ({**DATE, "aperio.Time Zone": "Mars"}, "2009-12-29T09:59:15"),
        ({**DATE, "aperio.Date": "29.12.09"}, None),
        ({"aperio.Date": "12/29/09"}, None),
        ({"leica.creation-date": "2011-06-09T10:11:12.5Z"}, "2011-06-09T10:11:12+00:00"),
        ({"mirax.GENERAL.SLIDE_CREATIONDATETIME": "26/11/2008 14:15:16"}, "2008-11-26T14:15:16"),
        ({"tiff.DateTime": "2012:05:02 11:54:12"}, "2012-05-02T11:54:12"),
    ],
)
def test_scan_date(properties: dict[str, str], scanned: str | None) -> None:
    assert metadata(properties).scanned == scanned


@pytest.mark.parametrize(
    ("properties", "stated"),
    [
        ({"openslide.mpp-x": "0.499", "openslide.mpp-y": "0.5"}, (0.499, 0.5)),
        ({"aperio.MPP": "0,2520"}, (0.252, 0.252)),
        ({"aperio.MPP": "nan"}, (None, None)),
        ({"openslide.mpp-x": "0", "openslide.mpp-y": "-1"}, (None, None)),
        ({}, (None, None)),
        (mpp("0.02"), (0.02, 0.02)),
        (mpp("50"), (50, 50)),
        (mpp("0.0199"), (None, None)),
        (mpp("50.1"), (None, None)),
        (mpp("352.777778"), (None, None)),  # 72 dpi
        (mpp("10000"), (None, None)),  # 1/cm
        (mpp("25400"), (None, None)),  # 1/inch
        (mpp("0.25", "0.5"), (0.25, 0.5)),
        (mpp("0.25", "0.51"), (None, None)),
        (mpp("0.51", "0.25"), (None, None)),
        (mpp("0,25", "0,26"), (0.25, 0.26)),
        (mpp("nan"), (None, None)),
        (mpp("0.25", "nan"), (None, None)),
        (mpp("inf"), (None, None)),
        (mpp("-0.25"), (None, None)),
        (mpp("0.25 um"), (None, None)),
        ({"openslide.mpp-x": "0.25"}, (None, None)),
        ({**mpp("352.8"), "aperio.MPP": "0.25"}, (0.25, 0.25)),
        ({"aperio.MPP": "1e-3"}, (None, None)),
        ({**mpp("0.25"), "openslide.vendor": "hamamatsu"}, (0.25, 0.25)),
        ({**mpp("0.25"), **PLAIN}, (None, None)),
        (
            {**mpp("42.333333"), **PLAIN, "tiff.Software": "Adobe Photoshop"},
            (None, None),
        ),  # 600 dpi
        ({**mpp("21.166667"), **PLAIN, "tiff.Make": "NIKON CORPORATION"}, (None, None)),
        ({**mpp("0.25"), **PLAIN, "tiff.Software": "OME Bio-Formats 7.1"}, (0.25, 0.25)),
        ({**mpp("0.25"), **PLAIN, "tiff.ImageDescription": "<?xml?><OME xmlns=''/>"}, (0.25, 0.25)),
        ({**mpp("0.25"), **PLAIN, "tiff.Software": "QuPath 0.5.1"}, (0.25, 0.25)),
        ({**mpp("0.25"), **PLAIN, "tiff.Model": "NanoZoomer S360"}, (0.25, 0.25)),
        ({**mpp("352.8"), **PLAIN, "tiff.Software": "QuPath 0.5.1"}, (None, None)),
        ({**mpp("0.25"), **PLAIN, "tiff.Software": "Emotica scanner"}, (None, None)),
        ({**mpp("0.25"), **PLAIN, "tiff.Software": "Home 3"}, (None, None)),
        ({**mpp("0.25"), **PLAIN, "tiff.Software": "Motic DSA 2"}, (0.25, 0.25)),
        ({**mpp("0.25"), **PLAIN, "tiff.Make": "KFBIO_400"}, (0.25, 0.25)),
        (described("scan of an Aperio slide"), (None, None)),
        (described("liver, by QuPath"), (None, None)),
        (described("Aperio Image Library v10.2"), (0.25, 0.25)),
        (described("QuPath 0.4.3\nliver"), (0.25, 0.25)),
        (described(VIPS.format("openslide.mpp-x")), (0.25, 0.25)),
        (described(VIPS.format("exif-data")), (None, None)),
        *(
            ({**mpp(f"{25400 / dpi:.6g}"), **PLAIN, "tiff.Software": "QuPath 0.5.1"}, (None, None))
            for dpi in (600, 1200, 2400, 4800)
        ),
        ({**mpp("21.186"), **PLAIN, "tiff.Software": "QuPath"}, (None, None)),  # 472/cm: 1200 dpi
        ({**mpp("10"), **PLAIN, "tiff.Software": "QuPath"}, (10, 10)),  # 2540 dpi
        ({**mpp("0.5", "21.166667"), **PLAIN, "tiff.Software": "QuPath"}, (None, None)),
        (described(ome(PhysicalSizeX="0.5", PhysicalSizeY="0.5"), "42.333333"), (0.5, 0.5)),
        (described(ome(PhysicalSizeX="0.5", PhysicalSizeY="0.4")), (0.5, 0.4)),
        (described(ome(PhysicalSizeX="0.5")), (0.25, 0.25)),
        (described(ome(PhysicalSizeX="0.5"), "42.333333"), (None, None)),
        (described(sized("250", "nm"), "21.166667"), (0.25, 0.25)),
        (described(sized("0.00025", "mm")), (0.25, 0.25)),
        (described(sized("0.3", "&#181;m")), (0.3, 0.3)),
        (described(sized("0.3", "&#x3bc;m")), (0.3, 0.3)),
        (described(sized("0.3", "\u03bcm")), (0.3, 0.3)),
        (described(sized("1", "pixel")), (None, None)),
        (described(sized("0.25", "reference frame")), (None, None)),
        (described(sized("600", "µm")), (None, None)),
        (described(ome(PhysicalSizeX="", PhysicalSizeY="0.5")), (None, None)),
        (described(ome(PhysicalSizeX="0", PhysicalSizeY="0")), (None, None)),
        (described(sized("0.3", "µm").replace('"', "'")), (0.3, 0.3)),
        (described(sized("0.3", "µm").replace("<", "<ome:")), (0.3, 0.3)),
        (described("ImageJ=1.53t\nunit=pixel\n"), (None, None)),
        (described("ImageJ=1.53t\n"), (None, None)),
        (described("ImageJ=1.53t\nunit=inch\n"), (None, None)),
        (described("ImageJ=1.53t\nunit=micron\n"), (0.25, 0.25)),
        (described("ImageJ=1.53t\nunit=micron\n", "42.333333"), (None, None)),
        ({**described("ImageJ=1.53t\nunit=pixel"), "tiff.Software": "QuPath"}, (None, None)),
        *(
            (
                {
                    **PLAIN,
                    "tiff.ImageDescription": f"ImageJ=1.53t\nimages=1\nunit={unit}\nloop=false\n",
                    "tiff.XResolution": "4",
                    "tiff.YResolution": "2.5",
                },
                (0.25, 0.4),
            )
            for unit in ("micron", "um", "µm", "\u03bcm", "\\u00B5m", "microns")
        ),
    ],
)
def test_microns_per_pixel(
    properties: dict[str, str], stated: tuple[float | None, float | None]
) -> None:
    said = metadata(properties)
    assert (said.mpp_x, said.mpp_y) == stated


@pytest.mark.parametrize(
    ("resolution", "unit", "software", "stated"),
    [
        (72, "INCH", None, None),
        (72, "INCH", "QuPath 0.5.1", None),
        (1, "CENTIMETER", "QuPath 0.5.1", None),
        (1, "INCH", "QuPath 0.5.1", None),
        (600, "INCH", None, None),
        (40000, "CENTIMETER", None, None),
        (40000, "CENTIMETER", "QuPath 0.5.1", 0.25),
        (2400, "INCH", "QuPath 0.4.3", None),
        (472, "CENTIMETER", "QuPath 0.4.3", None),
    ],
)
def test_the_resolution_of_a_tiff(
    tmp_path: Path, resolution: int, unit: str, software: str | None, stated: float | None
) -> None:
    path = tmp_path / "a.tif"
    imwrite(
        path,
        np.zeros((64, 64, 3), np.uint8),
        photometric="rgb",
        tile=(16, 16),
        resolution=(resolution, resolution),
        resolutionunit=unit,
        software=software or False,
        metadata=None,
    )
    with open_slide(path) as slide:
        assert slide.metadata.mpp_x == slide.metadata.mpp_y == stated


def image(size: tuple[int, int], length: str) -> dict[str, str]:
    stated = {"PhysicalSizeX": length, "PhysicalSizeY": length}
    return {"SizeX": str(size[0]), "SizeY": str(size[1]), **stated}


@pytest.mark.parametrize(
    ("images", "stated"),
    [
        ([((200, 150), "0.25")], 0.25),
        ([((120, 80), "30"), ((200, 150), "0.25")], 0.25),
        ([((120, 80), "0.5"), ((99, 99), "0.25")], None),
        ([((120, 80), "0.5"), ((99, 99), "0.5")], None),
        ([((200, 150), "0.5"), ((200, 150), "0.25")], None),
    ],
)
def test_ome_xml_of_several_images(
    images: list[tuple[tuple[int, int], str]], stated: float | None
) -> None:
    text = ome(*(image(size, length) for size, length in images))
    said = metadata(described(text, "42.333333"), Size(200, 150))
    assert (said.mpp_x, said.mpp_y) == (stated, stated)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("text", ["resolution", "OME-XML"])
def test_a_slide_that_is_shown_turned(tmp_path: Path, orientation: int, text: str) -> None:
    path = tmp_path / "a.tif"
    said: dict[str, Any] = {
        "software": "QuPath 0.5.1",
        "resolution": (40000, 20000),
        "resolutionunit": 3,
    }
    if text == "OME-XML":
        pixels = image((200, 150), "0.25") | {"PhysicalSizeY": "0.5"}
        said = {"description": ome(pixels), "resolution": (600, 600), "resolutionunit": 2}
    stored = jpeg(tiles(marker=JFIF), "ycbcr", extratags=[(274, "H", 1, orientation, True)], **said)
    Row("", [stored]).write(path)
    with open_slide(path) as slide:
        found = slide.metadata.mpp_x, slide.metadata.mpp_y
    assert found == ((0.25, 0.5) if orientation < 5 else (0.5, 0.25))


def test_what_is_stated() -> None:
    said = metadata(
        {
            "openslide.vendor": "aperio",
            "openslide.objective-power": "40",
            "openslide.bounds-x": "10",
            "openslide.bounds-y": "20",
            "openslide.bounds-width": "300",
            "openslide.bounds-height": "400",
            "aperio.ScanScope ID": "SS1234",
        }
    )
    assert (said.vendor, said.scanner) == ("aperio", None)
    assert said.objective_power == 40
    assert said.bounds == (10, 20, 300, 400)


@pytest.mark.parametrize(
    ("stated", "power"),
    [
        ("40", 40),
        ("0.5", 0.5),
        ("400", 400),
        ("400.1", None),
        ("1952", None),
        ("4711195203171", None),
        ("0", None),
        ("-20", None),
        ("40x", None),
    ],
)
def test_a_magnification_is_a_microscopes(stated: str, power: float | None) -> None:
    for key in "openslide.objective-power", "aperio.AppMag":
        assert metadata({key: stated}).objective_power == power


@pytest.mark.parametrize(
    ("properties", "scanner"),
    [
        ({}, None),
        ({"aperio.ScanScope ID": "SS1234"}, None),
        ({"aperio.ScanScope ID": "CPAPERIOCS"}, None),
        ({"aperio.ScanScope ID": "aperio"}, None),
        ({"aperio.ScanScope ID": "4711-19520317"}, None),
        ({"aperio.ScanScope ID": "Aperio AT2"}, "Aperio AT2"),
        ({"aperio.ScannerType": "gt450"}, "GT450"),
        ({"leica.device-model": "Leica SCN400;Leica SCN"}, None),
        ({"leica.device-model": "leica_scn400"}, "Leica SCN400"),
        ({"tiff.Model": "C13210-01"}, "C13210-01"),
        ({"aperio.ScanScope ID": "Jane.Doe"}, None),
        ({"aperio.ScanScope ID": "DOE"}, None),
        ({"tiff.Model": "Philips"}, None),
        ({"aperio.ScanScope ID": "Jane Doe 7"}, None),
        ({"aperio.ScanScope ID": "SS\u0661"}, None),
        ({"aperio.ScanScope ID": "lei\u212aa7"}, None),
        ({"aperio.ScanScope ID": "7" * 65}, None),
        ({"aperio.ScanScope ID": "Doe", "tiff.Model": "NanoZoomer S360"}, "NanoZoomer S360"),
    ],
)
def test_a_scanners_model_is_one_of_the_list(
    properties: dict[str, str], scanner: str | None
) -> None:
    assert metadata(properties).scanner == scanner


@pytest.mark.parametrize(
    "key", ["User", "Title", "Patient", "Accession", "Barcode", "Filename", "Parmset", "AppMag"]
)
def test_a_name_is_withheld_wherever_it_stands(key: str) -> None:
    said = metadata({f"aperio.{key}": "Doe, Jane", "aperio.ImageID": "Doe, Jane"})
    assert "Doe" not in repr(said)


def test_no_number_is_hidden_in_more_digits_than_are_measured() -> None:
    said = metadata({"aperio.MPP": "0.4711195203171", "aperio.AppMag": "40.4711195203171"})
    assert (said.mpp_x, said.mpp_y, said.objective_power) == (0.47112, 0.47112, 40.4711)


@pytest.mark.parametrize(
    "name", ["", " ", "localtime", "posixrules", "tzdata.zi", "../../etc/passwd", "/etc", "Europe"]
)
def test_what_is_no_time_zone(name: str) -> None:
    with pytest.raises(ValueError, match="there is no time zone"):
        zone_of(name)


def test_native_tile() -> None:
    tiled = {"openslide.level[0].tile-width": "240", "openslide.level[0].tile-height": "256"}
    assert native_tile(tiled) == Size(240, 256)
    assert native_tile({}) is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("orientation", [1, 6])
def test_what_is_read_as_a_whole_says_the_same(
    tmp_path: Path, dtype: type[np.unsignedinteger[Any]], orientation: int
) -> None:
    most = np.iinfo(dtype).max
    pixels = np.random.default_rng(1).integers(0, most, (90, 150, 3), dtype, endpoint=True)
    imwrite(
        tmp_path / "a.tif",
        pixels,
        photometric="rgb",
        tile=(64, 64),
        description=ome(PhysicalSizeX="0.25", PhysicalSizeY="0.5"),
        extratags=[(274, 3, 1, orientation, True)],
        metadata=None,
    )
    with open_slide(tmp_path / "a.tif") as slide:
        said = slide.metadata
    sides = (said.mpp_x, said.mpp_y)
    assert sides == ((0.25, 0.5) if orientation == 1 else (0.5, 0.25))
    assert said.vendor == "generic-tiff"
