"""What slides are called where their paths and names, which can be patients', are not told."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath
from urllib.parse import quote, quote_plus

from vsv_pyramid.layout import keys
from vsv_pyramid.words import digest, one_line, raw

_IN_A_WORD = r"[^\W_]"
# A file's stem that could be a word or a number of our own sentences.
_ORDINARY = re.compile(r"[a-z]+|.|[0-9]{1,3}")
_BELOW = r"(?:[/\\][^:;]*)?"  # of what is in a folder, up to where the sentence goes on


class Pseudonyms:
    """The slides and the folders of slides that have been met: a slide is called by its id, and by
    eight digits of a hash of its place where it has none, as folders are.

    `id_of` tells a slide's id by its path or URL, None where it has none that is public.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.begin(lambda _: None)

    def begin(self, id_of: Callable[[str], str | None]) -> None:
        """Forgets all that have been met."""
        with self._lock:
            self._id_of = id_of
            self._slides: set[str] = set()
            self._by_stem: dict[str, list[str]] = {}  # by each way in which it is written
            self._folders: dict[str, set[str]] = {}  # by absolute path or URL: all ways to it

    def meet(self, slides: Iterable[object]) -> None:
        """Slides' paths and URLs, from now on."""
        with self._lock:
            for place in map(str, slides):
                if place not in self._slides:
                    self._slides.add(place)
                    for way in _written(PurePath(place).stem):
                        self._by_stem.setdefault(way, []).append(place)
                    self._meet_parent(place)

    def meet_folder(self, folder: object) -> None:
        """A folder of slides, or the URL of one."""
        place = str(folder).rstrip("/") or "/"
        ways = {place} if _is_url(place) else {place, _absolute(place), os.path.realpath(place)}
        ways -= {"", os.curdir, os.sep}
        with self._lock:
            self._folders[_absolute(place)] = {each for way in ways for each in _written(way)}

    def called(self, place: str) -> str:
        """The one name of the slide or the folder."""
        absolute = _absolute(place)
        if absolute in self._folders:
            return f"folder {digest(absolute)}"
        return self._id_of(place) or f"slide {digest(absolute)}"

    def path(self, text: str) -> str:
        """The path or URL, of which no part is a slide or a folder of slides."""
        return self._instead(text, _paths, below="")

    def sentence(self, text: str) -> str:
        """The sentence, in which no slide's path or name is, and nothing of what is in a folder of
        slides."""
        return self._instead(text, _ways, below=_BELOW)

    def _meet_parent(self, place: str) -> None:
        """Unless it is below a folder that has been met, or a whole bucket."""
        slash = "/" if _is_url(place) else os.sep
        folder, _, _ = _absolute(place).rpartition(slash)
        above = any(f"{folder}{slash}".startswith(f"{one}{slash}") for one in self._folders)
        if not above and not re.fullmatch("s3://[^/]*", folder):
            self.meet_folder(folder)

    def _instead(self, text: str, ways_of: Callable[[str], set[str]], below: str) -> str:
        with self._lock:
            slides = [each for stem, some in self._by_stem.items() if stem in text for each in some]
            folders = {way: one for one, ways in self._folders.items() for way in ways}
        patterns: dict[str, tuple[str, str]] = {}  # and the name, by what it is the way to
        for way in filter(text.__contains__, folders):
            patterns[way] = f"{_folder_pattern(way)}{below}", self.called(folders[way])
        for slide in slides:
            name = self.called(slide)
            for way in filter(text.__contains__, {name, *ways_of(slide)}):
                patterns[way] = _pattern(way), name
        if not patterns:
            return text
        longest_first = [patterns[way] for way in sorted(patterns, key=lambda way: -len(way))]
        names = [name for _, name in longest_first]
        whole = "|".join(f"({pattern})" for pattern, _ in longest_first)
        return re.sub(whole, lambda match: names[(match.lastindex or 0) - 1], text)


met = Pseudonyms()


def _pattern(way: str) -> str:
    """Where this is written; of an ordinary word, where it is quoted, or a place's begin."""
    alone = rf"(?<!{_IN_A_WORD}){re.escape(way)}(?!{_IN_A_WORD})"
    return rf"(?:(?:^|(?<=['\"])){alone}|{alone}(?=[:/\\_]))" if _ORDINARY.fullmatch(way) else alone


def _folder_pattern(way: str) -> str:
    """Where this is written, and is no part of another path."""
    is_whole = _is_url(way) or Path(way).is_absolute()
    return ("" if is_whole else r"(?<![/\\.-])") + _pattern(way) + r"(?![\w-]|\.\w)"


def _is_url(place: str) -> bool:
    return place.startswith("s3://")


def _absolute(place: str) -> str:
    return place if _is_url(place) else str(Path(place).absolute())


def _paths(place: str) -> set[str]:
    """All ways in which the slide's path or URL is written, also without a suffix, as that of a
    folder with its other files."""
    if _is_url(place):
        ways = {place, place.split("/", 3)[-1]}
    else:
        ways = {place, str(PurePath(place)), _absolute(place), os.path.realpath(place)}
    ways = {way for way in ways if "/" in way or os.sep in way}
    ways |= {way.removesuffix(PurePath(place).suffix) for way in ways}
    return {each for way in ways for each in _written(way)}


def _ways(place: str) -> set[str]:
    """All of that, and the ways in which the file's name is."""
    path = PurePath(place)
    names = {path.name, path.stem, keys.safe_id(path.stem)} - {""}
    return _paths(place) | {each for name in names for each in _written(name)}


def _written(name: str) -> set[str]:
    """The name as it is, as sentences, Python and URLs have it."""
    data = raw(name)
    return {name, one_line(name), repr(name)[1:-1], quote(data), quote_plus(data)}
