"""The DZI descriptor: how large the image of a pyramid is, and its tiles."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

from vsv_pyramid.errors import DescriptorError
from vsv_pyramid.layout.geometry import Pyramid, Size

FORMAT = "jpeg"
NAMESPACE = "http://schemas.microsoft.com/deepzoom/2008"
_MOST_SIDE = (1 << 31) - 1  # px, as DeepZoom has them


class _Plain(ElementTree.TreeBuilder):
    """XML without a document type, which could have entities: each of them is any text, many times
    over."""

    def doctype(self, *_: object) -> None:
        raise DescriptorError("the descriptor has a document type, which is not read")


@dataclass(frozen=True)
class Descriptor:
    """What a DZI file states: the base level's size, the tile size and the overlap, all in px."""

    size: Size
    tile_size: int
    overlap: int = 0
    format: str = FORMAT

    @classmethod
    def parse(cls, xml: bytes) -> Descriptor:
        """What the bytes of a DZI file state.

        Raises DescriptorError for anything but one Image with one Size, both with positive numbers.
        """
        try:
            image = ElementTree.fromstring(xml, ElementTree.XMLParser(target=_Plain()))
        except (ElementTree.ParseError, LookupError, ValueError) as exc:  # of its encoding, too
            raise DescriptorError(f"the descriptor is not XML ({exc})") from exc
        size = image.find(f"{{{NAMESPACE}}}Size")
        if image.tag != f"{{{NAMESPACE}}}Image" or size is None:
            raise DescriptorError("the descriptor has no DeepZoom Image and Size")
        try:
            parsed = cls(
                Size(int(size.attrib["Width"]), int(size.attrib["Height"])),
                int(image.attrib["TileSize"]),
                int(image.attrib["Overlap"]),
                image.attrib["Format"],
            )
        except (KeyError, ValueError) as exc:
            raise DescriptorError(f"the descriptor lacks a number: {exc}") from exc
        if min(*parsed.size, parsed.tile_size) < 1 or parsed.overlap < 0:
            raise DescriptorError("the descriptor states a size below 1 px")
        if max(*parsed.size, parsed.tile_size, parsed.overlap) > _MOST_SIDE:
            raise DescriptorError(f"the descriptor states a size above {_MOST_SIDE:,} px")
        return parsed

    @property
    def xml(self) -> bytes:
        """The bytes of a DZI file."""
        image = ElementTree.Element(
            "Image",
            xmlns=NAMESPACE,
            TileSize=str(self.tile_size),
            Overlap=str(self.overlap),
            Format=self.format,
        )
        ElementTree.SubElement(
            image, "Size", Width=str(self.size.width), Height=str(self.size.height)
        )
        stated: bytes = ElementTree.tostring(image, encoding="utf-8", xml_declaration=True)
        return stated + b"\n"

    @property
    def pyramid(self) -> Pyramid:
        return Pyramid(self.size, self.tile_size)
