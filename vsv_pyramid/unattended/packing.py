"""The pyramids of a bucket that are tiles, as array jobs of AWS Batch which pack them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vsv_pyramid.aws.batch import Queue
from vsv_pyramid.catalog import Catalog
from vsv_pyramid.destination import layouts, open_destination, tie
from vsv_pyramid.errors import OptionError
from vsv_pyramid.layout import keys
from vsv_pyramid.planning.options import ConvertOptions
from vsv_pyramid.unattended.backlog import DEFAULTS
from vsv_pyramid.unattended.manifests import PACK, handed_to


def tiles_in(root: str, options: ConvertOptions = DEFAULTS) -> list[str]:
    """The pyramids in the root that the catalog has as tiles, by their URLs. Raises StoreError."""
    slides = Catalog(open_destination(root, options.private_to, options.s3)).slides()
    return [
        f"{root.rstrip('/')}/{keys.folder(slide_id)}"
        for slide_id in sorted(slides)
        if "packed" not in slides[slide_id]
    ]


def pack(
    pyramids: Sequence[str],
    root: str,
    queue: Queue,
    told: Callable[[str], object] = lambda job: None,
    options: ConvertOptions = DEFAULTS,
) -> list[str]:
    """The ids of the jobs that pack these pyramids, as of `submit`; whatever is converted there
    from now on is packed, too. Raises OptionError where several have no private place for their
    list."""
    store = open_destination(root, options.private_to, options.s3)
    if len(pyramids) > 1 and not store.private:
        raise OptionError(f"{root}: the list of slides needs a private place; give it as {tie.HOW}")
    layouts.remember(store.published, keys.PACKED, instead=True)
    places = [f"{PACK}{pyramid}" for pyramid in pyramids]
    return handed_to(places, store.private, queue, told)
