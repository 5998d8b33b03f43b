"""The descriptor."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openslide import ImageSlide
from openslide.deepzoom import DeepZoomGenerator
from PIL import Image

from vsv_pyramid.errors import DescriptorError
from vsv_pyramid.layout.descriptor import Descriptor
from vsv_pyramid.layout.geometry import Size

positive = st.integers(1, 1 << 20)


@given(st.builds(Descriptor, st.builds(Size, positive, positive), positive, st.integers(0, 8)))
def test_what_is_written_is_parsed(descriptor: Descriptor) -> None:
    assert Descriptor.parse(descriptor.xml) == descriptor


def test_the_descriptor_says_what_deepzoom_generators_says() -> None:
    oracle = DeepZoomGenerator(ImageSlide(Image.new("1", (300, 250))), tile_size=254, overlap=0)
    ours = ElementTree.fromstring(Descriptor(Size(300, 250), 254).xml)
    theirs = ElementTree.fromstring(oracle.get_dzi("jpeg"))
    assert ElementTree.canonicalize(ElementTree.tostring(ours)) == ElementTree.canonicalize(
        ElementTree.tostring(theirs)
    )


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("</Image>", "", "not XML"),
        ("utf-8", "utf-a", "not XML"),
        ("utf-8", "utf-7", "not XML"),
        ("deepzoom/2008", "deepzoom/2009", "no DeepZoom Image"),
        ('<Size Width="9" Height="8" />', "", "no DeepZoom Image and Size"),
        (' Height="8"', "", "lacks a number"),
        ('Width="9"', 'Width="nine"', "lacks a number"),
        ('Width="9"', 'Width="0"', "below 1 px"),
        ('Overlap="0"', 'Overlap="-1"', "below 1 px"),
    ],
)
def test_a_damaged_descriptor_is_refused(old: str, new: str, sentence: str) -> None:
    xml = Descriptor(Size(9, 8), 64).xml.decode()
    assert old in xml
    with pytest.raises(DescriptorError, match=sentence):
        Descriptor.parse(xml.replace(old, new).encode())
