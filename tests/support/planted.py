"""Names where files have room for them, each one that is nowhere else; and a search that finds them
however they are written.

A marker is a word (Zq017Roe), or a number (4711017203171) where numbers are kept. `forge` writes a
file of each format with as many as it takes; `found` tells which are in some bytes.
"""

from __future__ import annotations

import base64
import binascii
import io
import itertools
import os
import re
import struct
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import zxingcpp
from PIL import Image, ImageDraw
from tifffile import TiffFile, TiffWriter

from tests.slide.test_icc import MATRIX, described, mluc, profile
from tests.support.forge_makers import ATTRIBUTE, dicom, element, leica, philips, sequence
from tests.support.forge_tiffs import JFIF, PICTURE, SIZE, TILE, adobe, stream, tables_of, tiles
from tests.support.tiles import cut
from vsv_pyramid.jpeg.markers import DHT, DQT, segment

COLOUR = (250, 10, 240)  # of labels and macros, and of no tissue
YEAR = 2019
MTIME_NS = 1_563_873_753_123_456_789  # of all files
# When the slides were scanned, at a time of day that it is not while the tests run, and when their
# files were written; as programs write it.
_HOUR = (datetime.now(timezone.utc).hour + 12) % 24
TIME, DIGITS = f"{_HOUR:02d}:22:33", f"{_HOUR:02d}2233."
TIMES = (
    *("07/23/19", "07/23/2019", "23/07/2019", "2019-07-23", "2019:07:23", "20190723"),
    *(TIME, DIGITS, "23 jul 2019", "1563873753"),
)
BIRTHS = ("19520317", "1961-03-04")
SSN, ACCESSION = "078-05-1120", "S26-1041-A1"
# What laboratories print as barcodes, of a word and a number.
BARCODES = {
    "name; given name; date of birth": "{word};JANE;19520317",
    "name, sex and date of birth": "{word}/Jane/F/1961-03-04",
    "medical record number": "{number}",
    "social security number": SSN,
    "patient ID": "PID:{number}",
    "accession number": ACCESSION,
    "GS1": "010401234567890121{number}",
}


class Markers:
    """Gives out markers of the numbers that it gets; `places` has where each one is planted."""

    def __init__(self, numbers: Iterator[int]) -> None:
        self._numbers = numbers
        self.places: dict[str, str] = {}

    def word(self, place: str) -> str:
        return self._given(f"Zq{next(self._numbers):03d}Roe", place)

    def number(self, place: str) -> str:
        return self._given(f"4711{next(self._numbers):03d}203171", place)

    def _given(self, marker: str, place: str) -> str:
        self.places[marker.lower()] = place
        return marker


@dataclass(frozen=True)
class Planted:
    """A file with markers `inside` it, and `around` it in its name and its folder's: places by
    marker in small letters. Its label has the barcode, if it has one."""

    path: Path
    inside: Mapping[str, str]
    around: Mapping[str, str]
    barcode: str = ""


# The search.


def _spaced(letters: str) -> bytes:
    """A pattern of the letters as they are, or in UTF-16 or UTF-32."""
    return rb"\0{0,3}".join(re.escape(letter).encode() for letter in letters)


_ANY = rb"\0{0,3}".join([rb"[0-9]"] * 3)
_MARKERS = [
    rb"\0{0,3}".join([_spaced(before), _ANY, _spaced(behind)])
    for before, behind in (("Zq", "Roe"), ("4711", "203171"))
]
_LITERALS = [_spaced(text) for text in (*TIMES, *BIRTHS, SSN, ACCESSION)]
_FOUND = re.compile(b"|".join((*_MARKERS, *_LITERALS)), re.IGNORECASE)
_HEX = re.compile(rb"[0-9a-fA-F]{16,}")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{11,}")
_DEFLATED = re.compile(rb"x[\x01\x5e\x9c\xda]")


def found(data: bytes) -> set[str]:
    """The markers in the bytes, and the days, times and barcodes, in small letters.

    They may be written in capitals or not, as ASCII, UTF-16 or UTF-32, and all that in hexadecimal
    digits, in base64 or deflated, or one within another.
    """
    return {
        match.replace(b"\0", b"").decode().lower()
        for layer in _layers(data, 2)
        for match in _FOUND.findall(layer)
    }


def _layers(data: bytes, depth: int) -> Iterator[bytes]:
    yield data
    if depth:
        for inner in itertools.chain(_unhexed(data), _decoded(data), _inflated(data)):
            yield from _layers(inner, depth - 1)


def _unhexed(data: bytes) -> Iterator[bytes]:
    for run in _HEX.findall(data):
        for start in range(2):
            yield binascii.unhexlify(run[start : start + (len(run) - start) // 2 * 2])


def _decoded(data: bytes) -> Iterator[bytes]:
    for run in _BASE64.findall(data):
        plain = run.translate(bytes.maketrans(b"-_", b"+/"))
        for start in range(4):
            part = plain[start:]
            yield base64.b64decode(part[: len(part) // 4 * 4] + _padded(part[len(part) // 4 * 4 :]))


def _padded(rest: bytes) -> bytes:
    return rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b""


def _inflated(data: bytes) -> Iterator[bytes]:
    for match in _DEFLATED.finditer(data):
        try:
            yield zlib.decompressobj().decompress(data[match.start() :], 1 << 20)
        except zlib.error:
            continue


def has_colour(jpeg: bytes) -> bool:
    """Whether some of the picture has a label's colour."""
    pixels = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)
    return bool((np.abs(pixels - COLOUR).max(axis=2) < 40).any())


# What many formats have room for.

_ASCII, _BYTE, _LONG, _UNDEFINED = 2, 1, 4, 7
_EXIF, _GPS = 34665, 34853
_TEXT_TAGS = {
    **{269: "DocumentName", 271: "Make", 272: "Model", 285: "PageName", 315: "Artist"},
    **{316: "HostComputer", 333: "InkNames", 337: "TargetPrinter", 33432: "Copyright"},
    65001: "a private tag",
}
_EXIF_TAGS = {
    **{37500: "MakerNote", 37510: "UserComment", 42016: "ImageUniqueID", 42032: "CameraOwnerName"},
    **{42033: "BodySerialNumber", 42035: "LensMake", 42036: "LensModel", 42037: "LensSerialNumber"},
}
_GPS_TAGS = {8: "Satellites", 18: "MapDatum", 27: "ProcessingMethod", 28: "AreaInformation"}
_XP_TAGS = {40091: "XPTitle", 40092: "XPComment", 40093: "XPAuthor", 40094: "XPKeywords"}
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:title="{}" dc:creator="{}">'
    "<dc:description>{}</dc:description></rdf:Description></rdf:RDF></x:xmpmeta>"
)

Tags = dict[int, tuple[int, bytes]]


def _xmp(markers: Markers, where: str) -> bytes:
    said = (markers.word(f"{where}: XMP {name}") for name in ("title", "creator", "description"))
    return _XMP.format(*said).encode()


def _iptc(markers: Markers, where: str) -> bytes:
    records = {5: "title", 80: "by-line", 105: "headline", 120: "caption"}
    made = b""
    for number, name in records.items():
        text = markers.word(f"{where}: IPTC {name}").encode()
        made += struct.pack(">BBBH", 0x1C, 2, number, len(text)) + text
    return made


def _photoshop(markers: Markers, where: str) -> bytes:
    iptc, url = _iptc(markers, f"{where}: Photoshop"), markers.word(f"{where}: Photoshop URL")
    parts = {0x0404: iptc, 0x040B: url.encode()}
    return b"".join(
        struct.pack(">4sHHI", b"8BIM", number, 0, len(part)) + part + bytes(len(part) % 2)
        for number, part in parts.items()
    )


def _icc(markers: Markers, where: str) -> bytes:
    """A profile whose colours may be published."""

    def word(name: str) -> str:
        return markers.word(f"{where}: ICC {name}")

    texts = {
        **{b"desc": described(word("description")), b"cprt": mluc(word("copyright"))},
        **{b"dmnd": described(word("maker")), b"dmdd": described(word("model"))},
        **{b"targ": b"text" + bytes(4) + word("target").encode()},
        **{b"zqPT": b"text" + bytes(4) + word("private tag").encode()},
    }
    gap, behind = word("gap").encode(), word("end").encode()
    return profile({**MATRIX, **texts}, pcs=b"XYZ ", gap=gap, behind=behind)


def _texts(markers: Markers, where: str, names: Mapping[int, str], kind: int = _ASCII) -> Tags:
    return {
        code: (kind, markers.word(f"{where}: {name}").encode() + b"\0")
        for code, name in names.items()
    }


def _directory(at: int, tags: Tags) -> bytes:
    """A directory of a little-endian TIFF, to be at this offset."""
    after = at + 2 + 12 * len(tags) + 4
    table, values = struct.pack("<H", len(tags)), b""
    for code, (kind, data) in sorted(tags.items()):
        table += struct.pack("<HHI", code, kind, len(data) // (4 if kind == _LONG else 1))
        if len(data) > 4:
            table += struct.pack("<I", after + len(values))
            values += data + bytes(len(data) % 2)
        else:
            table += data.ljust(4, b"\0")
    return table + bytes(4) + values


def _with_directories(markers: Markers, where: str, at: int) -> tuple[bytes, int, int]:
    """A GPS and an EXIF directory to be at this offset, and the offset of each."""
    gps = _directory(at, _texts(markers, f"{where}: GPS", _GPS_TAGS))
    exif = _texts(markers, f"{where}: EXIF", _EXIF_TAGS, _UNDEFINED)
    return gps + _directory(at + len(gps), exif), at, at + len(gps)


def _exif(markers: Markers, where: str) -> bytes:
    both, gps, exif = _with_directories(markers, where, 8)
    first = 8 + len(both)
    tags = _texts(markers, f"{where}: EXIF", {270: "ImageDescription", **_TEXT_TAGS})
    tags |= {
        code: (_BYTE, markers.word(f"{where}: EXIF {name}").encode("utf-16-le"))
        for code, name in _XP_TAGS.items()
    }
    tags |= {_EXIF: (_LONG, struct.pack("<I", exif)), _GPS: (_LONG, struct.pack("<I", gps))}
    return b"II*\0" + struct.pack("<I", first) + both + _directory(first, tags)


def _segments(markers: Markers, where: str, *, whole: bool = False) -> bytes:
    """COM and one of each APPn; where it is the `whole`, EXIF, XMP, ICC and IPTC, too."""

    def word(name: str) -> bytes:
        return markers.word(f"{where}: {name}").encode()

    bodies = {number: word(f"APP{number}") for number in range(1, 16)}
    made = [segment(0xFE, word("COM")), segment(0xE0, b"JFXX\0\x10" + word("APP0"))]
    if whole:
        made.append(segment(0xE1, b"Exif\0\0" + _exif(markers, where)))
        made.append(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + _xmp(markers, where)))
        made.append(segment(0xE2, b"ICC_PROFILE\0\1\1" + _icc(markers, where)))
        made.append(segment(0xED, b"Photoshop 3.0\0" + _photoshop(markers, where)))
    made += [segment(0xE0 + number, body) for number, body in bodies.items()]
    return b"".join(made)


def label(barcode: str = "Zq998Roe;JANE;19520317") -> Image.Image:
    """A label with a name and a barcode."""
    picture = Image.new("RGB", (300, 220), COLOUR)
    ImageDraw.Draw(picture).text((20, 5), "Zq999Roe, Jane", fill=0)
    made = zxingcpp.create_barcode(barcode, zxingcpp.BarcodeFormat.DataMatrix)
    picture.paste(Image.fromarray(np.array(made.to_image(scale=4))), (40, 30))
    return picture


# Slides.

_APERIO_WORDS = (
    *("User", "Title", "Patient", "PatientName", "Patient ID", "Accession", "AccessionNumber"),
    *("Filename", "Barcode", "Slide Label", "Comment", "Case", "Parmset", "Time Zone", "DSR ID"),
    *("ICC Profile", "ScannerType", "Description", "Block", "Stain", "Tissue", "Physician"),
    *("Institution", "Specimen", "SessonMode", "Filtered", "Focus Offset", "DisplayColor"),
)
_APERIO_NUMBERS = (
    *("ImageID", "ScanScope ID", "Rack", "Slide", "AppMag", "MPP", "StripeWidth", "Left", "Top"),
    *("LineCameraSkew", "LineAreaXOffset", "LineAreaYOffset", "OriginalWidth", "OriginalHeight"),
    *("Originalheight", "Exposure Time", "Exposure Scale", "Gamma", "CalibrationAverageRed"),
    *("CalibrationAverageGreen", "CalibrationAverageBlue", "MRN", "SSN"),
)
_HEADER = "Aperio Image Library v11.2.1 {}\r\n"


def _page_tags(markers: Markers, where: str) -> list[tuple[int, int, int, bytes, bool]]:
    texts = _texts(markers, where, _TEXT_TAGS)
    return [(code, kind, len(data), data, True) for code, (kind, data) in texts.items()]


def _base_tags(markers: Markers, where: str) -> list[tuple[int, int, int, bytes, bool]]:
    """All that a page has room for, but for the directories: these have their tags one below."""
    blocks = {
        **{700: _xmp(markers, where), 33723: _iptc(markers, where)},
        **{34377: _photoshop(markers, where), _EXIF - 1: bytes(4), _GPS - 1: bytes(4)},
        65002: markers.word(f"{where}: a private tag in UTF-16").encode("utf-16-le"),
        65003: base64.b64encode(markers.word(f"{where}: a private tag in base64").encode()),
        65004: markers.word(f"{where}: a private tag in hex").encode().hex().encode(),
    }
    blocks |= {
        code: markers.word(f"{where}: {name}").encode("utf-16-le")
        for code, name in _XP_TAGS.items()
    }
    made = [(code, _UNDEFINED, len(data), data, True) for code, data in blocks.items()]
    return [*_page_tags(markers, where), *made]


def _add_directories(path: Path, markers: Markers, where: str) -> None:
    """Words where the file ends, and behind them the EXIF and the GPS of the first page."""
    gap = markers.word(f"{where}: a gap of the file").encode()
    with TiffFile(path) as tiff:
        entries = [tiff.pages.first.tags[code - 1].offset for code in (_GPS, _EXIF)]
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.write(bytes(size % 2) + gap)
        both, *places = _with_directories(markers, where, size + size % 2 + len(gap))
        file.write(both)
        for code, entry, place in zip((_GPS, _EXIF), entries, places, strict=True):
            file.seek(entry)
            file.write(struct.pack("<HHII", code, _LONG, 1, place))


def _jpeg_page(markers: Markers, where: str) -> tuple[list[bytes], dict[str, Any]]:
    """The tiles of a page, words in the first of them and in their tables, and its settings."""
    parts = [part for row in cut(PICTURE, TILE) for part in row]
    spare = segment(DQT, b"\3" + markers.word(f"{where}: a spare table").encode().ljust(64, b"\1"))
    without = (DQT, DHT)
    first = adobe(0) + _segments(markers, f"{where}: tile", whole=True)
    streams = [stream(part, rgb=True, marker=adobe(0), without=without) for part in parts]
    streams[0] = stream(parts[0], rgb=True, marker=first, without=without)
    streams[0] += markers.word(f"{where}: tile: behind its end").encode()
    tables = tables_of(
        stream(parts[0], rgb=True), spare + _segments(markers, f"{where}: JPEGTables")
    )
    return streams, {
        "shape": PICTURE.shape,
        "dtype": np.uint8,
        "photometric": "rgb",
        "tile": (TILE, TILE),
        "compression": "jpeg",
        "compressionargs": {"outcolorspace": "rgb"},
        "jpegtables": tables,
        "metadata": None,
    }


# A picture beside the slide is one strip, without loss.
_PICTURE: dict[str, Any] = {
    "photometric": "rgb",
    "rowsperstrip": 300,
    "compression": "lzw",
    "predictor": True,
    "metadata": None,
}


def svs(path: Path, markers: Markers) -> None:
    """An Aperio slide of one level, with a thumbnail, a label and a macro, and another picture."""
    width, height = SIZE
    keys = {name: markers.word(f"Aperio {name}") for name in _APERIO_WORDS}
    keys |= {name: markers.number(f"Aperio {name}") for name in _APERIO_NUMBERS}
    keys |= {"ScannerType": f"AT2 {keys['ScannerType']}", "Date": TIMES[0], "Time": TIME}
    head = _HEADER.format(markers.word("Aperio's first line"))
    canvas = f"{width}x{height} [0,0 {width}x{height}] ({TILE}x{TILE}) JPEG/RGB Q=95 "
    fields = [canvas + markers.word("Aperio's second line")]
    fields += [f"{key} = {value}" for key, value in keys.items()]
    others = {
        "thumbnail": (0, f"{width}x{height} -> 60x45 - |User = {{}}"),
        "label": (1, "label 300x220 {}"),
        "macro": (9, "macro 300x220 {}"),
        "another": (9, "{} 300x220"),
    }
    streams, settings = _jpeg_page(markers, "base")
    with TiffWriter(path) as tiff:
        tiff.write(
            iter(streams),
            **settings,
            description=head + "|".join(fields),
            software=markers.word("base: Software"),
            iccprofile=_icc(markers, "base"),
            extratags=_base_tags(markers, "base"),
        )
        for name, (kind, said) in others.items():
            picture = label()
            if name == "thumbnail":
                picture = Image.fromarray(PICTURE).resize((60, 45))
            tiff.write(
                np.asarray(picture),
                **_PICTURE,
                subfiletype=kind,
                description=_HEADER.format("") + said.format(markers.word(f"{name}: description")),
                software=markers.word(f"{name}: Software"),
                extratags=_page_tags(markers, name),
            )
    _add_directories(path, markers, "base")


def labelled(path: Path, barcode: str) -> None:
    """An Aperio slide that is as small as can be, with this barcode on its label."""
    with TiffWriter(path) as tiff:
        tiff.write(
            np.full((16, 16, 3), 240, np.uint8),
            photometric="rgb",
            tile=(16, 16),
            compression="lzw",
            metadata=None,
            description=f"{_HEADER.format('')}16x16 [0,0 16x16] (16x16)|MPP = 0.5",
        )
        for kind, name, picture in (
            (0, "16x16 -> 8x8 - ", Image.new("RGB", (8, 8))),
            (1, "label 300x220", label(barcode)),
        ):
            tiff.write(
                np.asarray(picture),
                **_PICTURE,
                subfiletype=kind,
                description=_HEADER.format("") + name,
            )


def plain_tiff(path: Path, markers: Markers, description: str | None = None) -> None:
    streams, settings = _jpeg_page(markers, "TIFF")
    with TiffWriter(path) as tiff:
        tiff.write(
            iter(streams),
            **settings,
            description=description or markers.word("TIFF: ImageDescription"),
            software=markers.word("TIFF: Software"),
            datetime=f"2019:07:23 {TIME}",
            iccprofile=_icc(markers, "TIFF"),
            extratags=_base_tags(markers, "TIFF"),
        )
    _add_directories(path, markers, "TIFF")


_OME = """<?xml version="1.0" encoding="UTF-8"?><!-- {comment} -->
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" Creator="{creator}">
<Experimenter ID="Experimenter:0" FirstName="{first}" LastName="{last}" Email="{mail}@example.org"
 Institution="{institution}" UserName="{user}"/><Project ID="Project:0" Name="{project}"/>
<Instrument ID="Instrument:0"><Microscope Model="{model}" SerialNumber="{serial}"/></Instrument>
<Image ID="Image:0" Name="{name}"><AcquisitionDate>2019-07-23T{time}</AcquisitionDate>
<Description>{description}</Description><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8"
 SizeX="200" SizeY="150" SizeC="3" SizeZ="1" SizeT="1" PhysicalSizeX="0.5" PhysicalSizeY="0.5">
<Channel ID="Channel:0" Name="{channel}" SamplesPerPixel="3"/><TiffData IFD="0" PlaneCount="1">
<UUID FileName="{file}.ome.tif">urn:uuid:00000000-0000-0000-0000-000000000000</UUID></TiffData>
</Pixels></Image><StructuredAnnotations><XMLAnnotation ID="Annotation:0"><Value>{annotation}</Value>
</XMLAnnotation><CommentAnnotation ID="Annotation:1"><Value>{note}</Value></CommentAnnotation>
</StructuredAnnotations></OME>"""


def ome_tiff(path: Path, markers: Markers) -> None:
    names = re.findall(r"{(\w+)}", _OME)
    said = {name: markers.word(f"OME {name}") for name in names if name != "time"}
    plain_tiff(path, markers, _OME.format(**said, time=TIME))


def philips_tiff(path: Path, markers: Markers) -> None:
    """With a barcode in base64, as Philips writes it."""

    def attribute(name: str, group: str, number: str, text: str) -> str:
        return ATTRIBUTE.format(name, group, number, "IString", text)

    names = {
        "PIM_DP_UFS_INTERFACE_VERSION": "1001",
        "PIIM_DP_SCANNER_OPERATOR_ID": "1003",
        "PIIM_DP_SCANNER_RACK_NUMBER": "1004",
        "DICOM_DEVICE_SERIAL_NUMBER": "1000",
        "DICOM_MANUFACTURERS_MODEL_NAME": "1090",
        "DICOM_PATIENT_NAME": "0010",
    }
    more = "".join(
        attribute(name, "301D", number, markers.word(f"Philips {name}"))
        for name, number in names.items()
    )
    barcode = base64.b64encode(markers.word("Philips PIM_DP_UFS_BARCODE").encode()).decode()
    more += attribute("PIM_DP_UFS_BARCODE", "301D", "1002", barcode)
    more += attribute("DICOM_ACQUISITION_DATETIME", "0008", "002A", f"20190723{DIGITS}000000")
    more += attribute("DICOM_DATE_OF_BIRTH", "0010", "0030", BIRTHS[0])
    philips(path, tiles(marker=JFIF), "ycbcr", PICTURE.shape, TILE, more=more)


def leica_scn(path: Path, markers: Markers) -> None:
    barcode = base64.b64encode(markers.word("Leica barcode").encode()).decode()
    names = ("creator", "user", "comment", "slideName")
    said = "".join(f"<{name}>{markers.word(f'Leica {name}')}</{name}>" for name in names)
    more = f"<barcode>{barcode}</barcode>{said}<creationDate>2019-07-23T{TIME}Z</creationDate>"
    leica(path, [tiles(marker=JFIF)], "ycbcr", SIZE, TILE, more=more)


_DICOM = {
    (0x08, 0x50): ("SH", "AccessionNumber"),
    (0x08, 0x70): ("LO", "Manufacturer"),
    (0x08, 0x80): ("LO", "InstitutionName"),
    (0x08, 0x81): ("ST", "InstitutionAddress"),
    (0x08, 0x90): ("PN", "ReferringPhysicianName"),
    (0x08, 0x1010): ("SH", "StationName"),
    (0x08, 0x1030): ("LO", "StudyDescription"),
    (0x08, 0x103E): ("LO", "SeriesDescription"),
    (0x08, 0x1040): ("LO", "InstitutionalDepartmentName"),
    (0x08, 0x1048): ("PN", "PhysiciansOfRecord"),
    (0x08, 0x1070): ("PN", "OperatorsName"),
    (0x08, 0x1080): ("LO", "AdmittingDiagnosesDescription"),
    (0x08, 0x1090): ("LO", "ManufacturerModelName"),
    (0x09, 0x10): ("LO", "a private creator"),
    (0x09, 0x1001): ("LO", "a private attribute"),
    (0x10, 0x10): ("PN", "PatientName"),
    (0x10, 0x20): ("LO", "PatientID"),
    (0x10, 0x21): ("LO", "IssuerOfPatientID"),
    (0x10, 0x1000): ("LO", "OtherPatientIDs"),
    (0x10, 0x1001): ("PN", "OtherPatientNames"),
    (0x10, 0x1040): ("LO", "PatientAddress"),
    (0x10, 0x1060): ("PN", "PatientMotherBirthName"),
    (0x10, 0x1090): ("LO", "MedicalRecordLocator"),
    (0x10, 0x2154): ("SH", "PatientTelephoneNumbers"),
    (0x10, 0x2180): ("SH", "Occupation"),
    (0x10, 0x21B0): ("LT", "AdditionalPatientHistory"),
    (0x10, 0x4000): ("LT", "PatientComments"),
    (0x18, 0x1000): ("LO", "DeviceSerialNumber"),
    (0x18, 0x1020): ("LO", "SoftwareVersions"),
    (0x18, 0x1030): ("LO", "ProtocolName"),
    (0x20, 0x10): ("SH", "StudyID"),
    (0x20, 0x4000): ("LT", "ImageComments"),
    (0x32, 0x1032): ("PN", "RequestingPhysician"),
    (0x32, 0x1060): ("LO", "RequestedProcedureDescription"),
    (0x38, 0x10): ("LO", "AdmissionID"),
    (0x40, 0x253): ("SH", "PerformedProcedureStepID"),
    (0x40, 0x512): ("LO", "ContainerIdentifier"),
    (0x40, 0x1001): ("SH", "RequestedProcedureID"),
    (0x40, 0x2016): ("LO", "PlacerOrderNumber"),
    (0x40, 0xA123): ("PN", "PersonName"),
}
_SPECIMEN = {
    (0x40, 0x551): ("LO", "SpecimenIdentifier"),
    (0x40, 0x600): ("LO", "SpecimenShortDescription"),
}
_DICOM_MOMENTS = {
    (0x08, 0x20): ("DA", "20190723"),
    (0x08, 0x23): ("DA", "20190723"),
    (0x08, 0x2A): ("DT", f"20190723{DIGITS}000000"),
    (0x08, 0x33): ("TM", f"{DIGITS}0"),
    (0x10, 0x30): ("DA", BIRTHS[0]),
}


def dicom_slide(path: Path, markers: Markers) -> None:
    def said(attributes: Mapping[tuple[int, int], tuple[str, str]]) -> list[bytes]:
        return [
            element(*tag, kind, markers.word(f"DICOM {name}"))
            for tag, (kind, name) in attributes.items()
        ]

    moments = [element(*tag, kind, text) for tag, (kind, text) in _DICOM_MOMENTS.items()]
    specimen = sequence(0x40, 0x560, b"".join(said(_SPECIMEN)))
    frames = tiles(marker=JFIF + _segments(markers, "DICOM frame"))
    more = [*said(_DICOM), *moments, specimen]
    dicom(path, frames, SIZE, TILE, photometric="YBR_FULL_422", more=more)


# Plain images.


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(path: Path, markers: Markers) -> None:
    keywords = (
        *("Title", "Author", "Description", "Copyright", "Creation Time", "Software"),
        *("Disclaimer", "Warning", "Source", "Comment"),
    )

    def word(name: str) -> bytes:
        return markers.word(f"PNG {name}").encode()

    more = [_chunk(b"tEXt", key.encode() + b"\0" + word(f"tEXt {key}")) for key in keywords]
    more += [
        _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(word("zTXt"))),
        _chunk(b"iTXt", b"Title\0\0\0de\0Titel\0" + word("iTXt")),
        _chunk(b"iTXt", b"Author\0\1\0de\0\0" + zlib.compress(word("a compressed iTXt"))),
        _chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + _xmp(markers, "PNG")),
        _chunk(b"eXIf", _exif(markers, "PNG")),
        _chunk(b"iCCP", word("iCCP name") + b"\0\0" + zlib.compress(_icc(markers, "PNG"))),
        _chunk(b"zqRt", word("a private chunk")),
    ]
    made = io.BytesIO()
    Image.fromarray(PICTURE).save(made, "PNG")
    data, head = made.getvalue(), 8 + 25  # the signature and IHDR
    path.write_bytes(data[:head] + b"".join(more) + data[head:] + word("behind IEND"))


def photograph(path: Path, markers: Markers) -> None:
    made = io.BytesIO()
    Image.fromarray(PICTURE).save(made, "JPEG")
    data, head = made.getvalue(), 2 + 18  # SOI and JFIF's APP0
    behind = markers.word("JPEG: behind its end").encode()
    path.write_bytes(data[:head] + _segments(markers, "JPEG", whole=True) + data[head:] + behind)


# All of them.

_FILES: dict[str, tuple[str, Callable[[Path, Markers], None]]] = {
    "svs": (".svs", svs),
    "tiff": (".tif", plain_tiff),
    "ome": (".ome.tif", ome_tiff),
    "philips": (".tiff", philips_tiff),
    "leica": (".scn", leica_scn),
    "dicom": (".dcm", dicom_slide),
    "png": (".png", png),
    "jpeg": (".jpg", photograph),
}


def forge(folder: Path) -> dict[str, Planted]:
    """A file of each format, in a folder of its own, both of which are named with markers."""
    numbers = itertools.count()
    made = {}
    for name, (suffix, write) in _FILES.items():
        inside, around = Markers(numbers), Markers(numbers)
        home = folder / f"{around.word('folder')}, Jane *1961-03-04"
        home.mkdir(parents=True)
        file = f"{around.word('file name')} {around.number('file name')} HE"
        path = home / f"{file}{suffix}"
        write(path, inside)
        _age(path)
        made[name] = Planted(path, inside.places, around.places)
    return made


def forge_barcodes(folder: Path) -> dict[str, Planted]:
    """A small slide for each of BARCODES."""
    folder.mkdir()
    numbers = itertools.count(900)
    made = {}
    for number, (name, pattern) in enumerate(BARCODES.items()):
        markers = Markers(numbers)
        barcode = pattern.format_map(_Asked(markers))
        path = folder / f"slide-{number}.svs"
        labelled(path, barcode)
        _age(path)
        made[name] = Planted(path, {}, markers.places, barcode)
    return made


class _Asked(dict[str, str]):
    """Makes a marker of the kind that is asked for."""

    def __init__(self, markers: Markers) -> None:
        self._markers = markers

    def __missing__(self, kind: str) -> str:
        give = {"word": self._markers.word, "number": self._markers.number}[kind]
        return give("barcode")


def _age(path: Path) -> None:
    os.utime(path, ns=(MTIME_NS, MTIME_NS))


def leaks(objects: Mapping[str, bytes], allowed: Collection[str] = ()) -> dict[str, set[str]]:
    """What is found in objects, in bytes or in keys, by key; but for what is allowed."""
    said = {key: found(key.encode()) | found(data) for key, data in objects.items()}
    wrong = {key: markers - {one.lower() for one in allowed} for key, markers in said.items()}
    return {key: markers for key, markers in wrong.items() if markers}
