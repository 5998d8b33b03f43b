"""What the destination has of the slides in a folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vsv_pyramid import places, slide_json
from vsv_pyramid.catalog import Catalog
from vsv_pyramid.catalog_json import entry
from vsv_pyramid.destination import Destination
from vsv_pyramid.errors import DescriptorError, OptionError, StoreError, StoreUnavailable
from vsv_pyramid.layout import keys
from vsv_pyramid.packed.published import is_published
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.review.records import deleted
from vsv_pyramid.slide.files import place_of
from vsv_pyramid.slide.series import stem_of
from vsv_pyramid.unattended.looks import Look

_log = logging.getLogger(__name__)


class Published:
    """The pyramids of a folder's slides, and those that await a rescan."""

    def __init__(self, store: Destination, options: ConvertOptions) -> None:
        self._store = store
        self._options = options
        self._listed: Mapping[str, str | None] = {}  # versions by id, as they were at first

    def in_catalog(self, looks: Mapping[Path, Look]) -> dict[Path, Look]:
        """Those that are published, as far as the catalog tells, of all at once; and those that
        were deleted, and whose rescan is to come."""
        try:
            entries = {**deleted(self._store), **Catalog(self._store, create=False).slides()}
        except StoreUnavailable:
            raise
        except StoreError as exc:
            _log.warning("%s", exc)
            return {}
        self._listed = {slide_id: one.get("version") for slide_id, one in entries.items()}
        sources = {slide_id: one.get("source", {}) for slide_id, one in entries.items()}
        done = {
            path: look
            for path, look in looks.items()
            if (source := sources.get(self.id_of(path))) and slide_json.is_look(source, *look)
        }
        places.adopt(self._store, {self.id_of(path): place_of(path) for path in done})
        return done

    def id_of(self, path: Path) -> str:
        """The slide's id, or the stem that cannot be one."""
        try:
            return self._options.id_of(stem_of(path))
        except OptionError:
            return stem_of(path)

    def has(self, path: Path, look: Look) -> bool:
        """Whether there is a pyramid of this very file, and all was done that comes after it."""
        slide_id = self.id_of(path)
        if not keys.is_id(slide_id):
            raise OptionError(
                f"{path}: {slide_id!r} cannot be an id; rename the file, to letters, digits, '.', "
                f"'_' and '-', or have ids made of such names with --ids safe: "
                f"{keys.safe_id(slide_id)}"
            )
        folder = keys.folder(slide_id)
        if not is_published(self._store, folder):
            return False
        try:
            document = slide_json.parse(self._store.get(keys.slide_json_key(folder)))
        except (DescriptorError, StoreError):
            return False
        is_this = slide_json.is_look(document["source"], *look)
        if is_this:
            places.adopt(self._store, {slide_id: place_of(path)})
        is_finished = slide_json.is_finished(document) or not self._store.private
        return is_this and is_finished and self._is_listed(document)

    def _is_listed(self, document: dict[str, Any]) -> bool:
        """Whether the catalog has it, too: what was killed before may have left it out."""
        if self._listed.get(document.get("id", "")) == document["pyramid"].get("version"):
            return True
        try:
            return Catalog(self._store, create=False).has(entry(document))
        except StoreUnavailable:
            raise
        except (DescriptorError, StoreError):  # none can be had, which was told at first
            return True
