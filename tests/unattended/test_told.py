"""What `watch` tells people of slides that it has set aside, and what they ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.destinations import opened
from tests.unattended.test_watch import Watched, watched
from vsv_pyramid.errors import SlideAccessError, SlideError
from vsv_pyramid.layout import keys
from vsv_pyramid.review import failures
from vsv_pyramid.unattended.attempts import PAUSES
from vsv_pyramid.unattended.watch import INTERVAL, Handed, Watch

__all__ = ["watched"]  # a fixture


def fail(_: Path) -> Handed:
    raise SlideError("a.svs", "is damaged; scan it again")


def test_a_slide_that_is_set_aside(watched: Watched) -> None:
    path = watched.put("deep/a b.svs")
    with watched.running(fail):
        watched.look(2)
    (failed,) = failures.listed(opened(watched.destination))
    assert failed.id == keys.safe_id("a b")
    assert (failed.slide, failed.exit_code) == (str(path), 2)
    assert "cannot be an id" in failed.reason


def test_one_that_is_tried_again_by_itself_is_not_told_of(watched: Watched) -> None:
    def fail(_: Path) -> Handed:
        raise SlideAccessError("a.svs", "may not be read")

    watched.put("a.svs")
    with watched.running(fail):
        watched.look(2)
        assert not failures.listed(opened(watched.destination))
        watched.let_pass(sum(PAUSES) + 5 * INTERVAL)
    assert [failed.id for failed in failures.listed(opened(watched.destination))] == ["a"]


@pytest.mark.parametrize("again", [False, True])
def test_it_is_tried_again_when_a_person_asks(watched: Watched, again: bool) -> None:
    store = opened(watched.destination)
    watched.put("a.svs")
    with watched.running(fail):
        watched.look(2)
    with watched.running():
        watched.let_pass(120)
        assert not watched.handed
        act = failures.retry if again else failures.dismiss
        list(act(store, ["a"], "anna"))
        watched.let_pass(120)
    assert watched.handed == ["a.svs"] * again
    assert not failures.listed(store)
    assert bool(watched.notes()) is not again, "it is still set aside where it was dismissed"


def test_once(watched: Watched) -> None:
    store = opened(watched.destination)
    watched.put("a.svs")
    with watched.running(fail):
        watched.look(2)
    list(failures.retry(store, ["a"], "anna"))
    handed = []

    def hand_on(path: Path) -> Handed:
        handed.append(path.name)
        return Handed()

    Watch(watched.folder, store, hand_on, lambda *_: None).run(once=True)
    assert handed == ["a.svs"]
    assert not failures.listed(store)


def test_a_failed_job(watched: Watched) -> None:
    watched.put("a.svs")
    ended = {"job-1": "its job failed: exit code 1"}
    with watched.running(lambda _: Handed(job="job-1"), ended=lambda _: ended):
        watched.let_pass(120)
    (failed,) = failures.listed(opened(watched.destination))
    assert (failed.id, failed.exit_code) == ("a", 1)
    assert failed.reason.endswith("its job failed: exit code 1")


def test_a_slide_that_is_gone(watched: Watched) -> None:
    path = watched.put("a.svs")
    watched.put("b.svs")
    with watched.running(fail):
        watched.look(2)
        path.unlink()
        watched.look(2)
    assert [failed.id for failed in failures.listed(opened(watched.destination))] == ["b"]
