"""The tree of errors: each is in the page of errors, and knows how it ends a process and a call."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vsv_pyramid import errors
from vsv_pyramid.errors import CODES, EXIT_FAILED, EXIT_TRY_AGAIN, VsvPyramidError


def tree(kind: type[VsvPyramidError] = VsvPyramidError) -> Iterator[type[VsvPyramidError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from tree(below)


def test_all_are_in_one_module_and_in_its_page() -> None:
    drawn = re.findall(r"[├└]── ([A-Za-z]+)", str(errors.__doc__))
    assert {"VsvPyramidError", *drawn} == {kind.__name__ for kind in tree()}
    assert {kind.__module__ for kind in tree()} == {"vsv_pyramid.errors"}


def test_each_has_the_codes_of_the_table() -> None:
    for kind in tree():
        nearest = next(above for above in kind.__mro__ if above in CODES)
        assert (kind.exit_code, kind.http_status) == CODES[nearest]


def test_what_another_try_may_mend_says_so() -> None:
    for kind in tree():
        if kind.__name__.endswith(("Unavailable", "Busy", "Changed")):
            assert kind.exit_code == EXIT_TRY_AGAIN
            assert kind.http_status in (409, 502)


def test_an_error_of_ours_is_no_users_fault() -> None:
    assert errors.exit_code(ValueError("of ours")) == EXIT_FAILED
