"""What a slide costs to keep: Amazon's prices, added up."""

from __future__ import annotations

import pytest

from vsv_pyramid.aws import costs, prices
from vsv_pyramid.aws.costs import FORMS, LOOK_BYTES, TILES, YEARS, keeping, slide_dollars
from vsv_pyramid.aws.prices import DEEP_ARCHIVE, STANDARD

OBJECTS, BYTES = 10_480, 1_360_000_000  # of 4 gigapixels
MONTHS = YEARS * 12


def test_tiles_are_put_one_by_one_and_stay_where_they_are() -> None:
    kept = keeping(TILES, OBJECTS, BYTES)
    assert kept.put == pytest.approx(OBJECTS * 0.005 / 1000)
    assert kept.stored == pytest.approx(1.36 * 0.023 * MONTHS)
    assert kept.verification == pytest.approx(OBJECTS * 0.0004 / 1000)


def test_one_file_is_put_in_parts_and_moved() -> None:
    kept = keeping(FORMS[-1], OBJECTS, BYTES)
    assert kept.put == pytest.approx((170 + 2) * 0.005 / 1000 + 0.02 / 1000)
    assert kept.stored == pytest.approx(1.36 * (0.023 + 0.004 * (MONTHS - 1)))
    assert kept.verification == pytest.approx(1.36 * 0.03 + 170 * 0.01 / 1000)


def test_a_look_is_of_what_there_is() -> None:
    """Of a small slide it takes no more than the slide."""
    large = keeping(FORMS[-1], OBJECTS, BYTES).look
    delivered = 0.0093 * 0.085 + 56 * 0.01 / 10_000
    assert large == pytest.approx(delivered + 56 * 0.01 / 1000 + 0.0093 * 0.03)
    small = keeping(FORMS[-1], 10, 1_000_000).look
    assert small == pytest.approx(0.001 * (0.085 + 0.03) + 10 * (0.01 / 10_000 + 0.01 / 1000))
    assert BYTES > LOOK_BYTES > 1_000_000


@pytest.mark.parametrize(
    ("gigabytes", "dollars"),
    [
        (0, 0),
        (1, 0.023),
        (51_200, 51_200 * 0.023),
        (51_300, 51_200 * 0.023 + 100 * 0.022),
        (600_000, 51_200 * 0.023 + 460_800 * 0.022 + 88_000 * 0.021),
    ],
)
def test_the_more_the_cheaper(gigabytes: float, dollars: float) -> None:
    assert prices.tiered(gigabytes, prices.STANDARD_TIERS) == pytest.approx(dollars)


def test_the_first_tier_is_what_one_gigabyte_costs() -> None:
    assert prices.tiered(1, prices.STANDARD_TIERS) == STANDARD.gb_month
    assert prices.tiered(1, prices.CLOUDFRONT_TIERS) == prices.CLOUDFRONT_GB


def test_it_adds_up() -> None:
    kept = costs.Keeping(put=1.0, stored=10.0, look=100.0, verification=1000.0)
    assert kept.dollars() == 11
    assert kept.dollars(looks=2, verifications=3) == 3211


def test_one_file_costs_a_fifth_of_tiles() -> None:
    tiles, one_file = (keeping(form, OBJECTS, BYTES) for form in (TILES, FORMS[-1]))
    assert one_file.dollars(looks=40) <= tiles.dollars(looks=40) / 5
    assert one_file.dollars(40, YEARS) > tiles.dollars(40, YEARS) / 5  # as the page says


def test_a_slide_is_cheapest_where_nobody_reads_it() -> None:
    size = 980_000_000
    assert slide_dollars(STANDARD, size) == pytest.approx(0.98 * 0.023 * MONTHS, rel=0.001)
    archived = slide_dollars(DEEP_ARCHIVE, size)
    assert archived == pytest.approx(0.98 * (0.023 + 0.00099 * (MONTHS - 1)), rel=0.01)
