"""The keys of the published layout: which there are, and what a server says of them.

In version 1 tiles are objects; in version 2, packed, they are in one, which slide.json names.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import unicodedata

from vsv_pyramid.errors import OptionError
from vsv_pyramid.layout.descriptor import FORMAT
from vsv_pyramid.layout.geometry import TileAddress
from vsv_pyramid.words import raw

TILES, PACKED = LAYOUTS = ("tiles", "packed")
LAYOUT_VERSION, PACKED_VERSION = 1, 2
ASSOCIATED_IMAGES = ("thumbnail", "label", "macro")
IMAGES = "images"
CATALOG = "index.json"
DESCRIPTOR = "DeepZoom.dzi"
SLIDE_JSON = "slide.json"
ROOT = "root.json"
NEVER_THERE = ".is-this-allowed"  # what is deleted to learn whether one may
# The parts of a destination that nobody serves: what is known of slides, what `watch` remembers of
# those that failed, and the lists of slides that jobs take.
PRIVATE, WATCHED, MANIFESTS = PRIVATE_PARTS = ("private", "watch", "manifests")
DELETED = f"{PRIVATE}/deleted.json"
PLACES = f"{WATCHED}/places"
KEPT = f"{PRIVATE}/{IMAGES}"  # what is known of each slide
FAILED = f"{PRIVATE}/failed"  # slides that could not be converted
IDS_KEY = f"{PRIVATE}/ids.json"

ICC = "icc.icc"
_TILES = "DeepZoom_files"

_SAFE_LETTERS, _SAFE_DIGITS = 100, 10
_OPAQUE_BYTES = 15

_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_OPAQUE = re.compile(r"[a-z2-7]{24}")  # Base32
_SHARD = re.compile(r"index-[A-Za-z0-9._-]+\.json")
_NUMBER = r"(?:0|[1-9][0-9]{0,9})"
_PACKED = re.compile(r"DeepZoom-[0-9a-f]{32}\.szi")
_FILE = re.compile(
    rf"DeepZoom\.dzi|{_PACKED.pattern}|slide\.json|icc\.icc|(?:{'|'.join(ASSOCIATED_IMAGES)})\.{FORMAT}"
    rf"|{_TILES}/{_NUMBER}/{_NUMBER}_{_NUMBER}\.{FORMAT}"
)
_FOLDER = re.compile(rf"{_TILES}(?:/{_NUMBER})?")
_KEY = re.compile(
    rf"{IMAGES}/(?:{re.escape(CATALOG)}|{_SHARD.pattern}|{_ID.pattern}/(?:{_FILE.pattern}))"
)

_PRIVATE = re.compile(
    rf"{PRIVATE}/(?:deleted\.json|ids\.json|failed/{_ID.pattern}\.json"
    rf"|{IMAGES}/(?:{re.escape(CATALOG)}|{_SHARD.pattern}"
    rf"|{_ID.pattern}/(?:slide\.private\.json|(?:{'|'.join(ASSOCIATED_IMAGES)})\.{FORMAT})))"
    rf"|{WATCHED}/(?:places/{_ID.pattern}|[0-9a-f]+\.json)"
    rf"|{MANIFESTS}/(?:[0-9a-f]+\.json|[A-Za-z0-9-]+\.txt)"  # former releases' were text
)

_ASTRAY = re.compile(
    rf"(?:.*/)?\.?(?:slide\.private\.json(?:\.partial)?|{_PRIVATE.pattern})", re.DOTALL
)
# Images that show a name.
NAMING = ("label", "macro")

_FOR_EVER = "public, max-age=31536000, immutable"
_CHECKED = "no-cache"
_NEVER = "no-store"
# What was published by mistake is gone when it is removed.
_REVOCABLE = tuple(f"{name}.{FORMAT}" for name in NAMING)
_HTTP_HEADERS = {
    suffix: {"Content-Type": media_type, "Cache-Control": kept}
    for suffix, media_type, kept in (
        (".jpeg", "image/jpeg", _FOR_EVER),
        (".szi", "application/zip", _FOR_EVER),
        (".icc", "application/vnd.iccprofile", _FOR_EVER),
        (".dzi", "application/xml", _CHECKED),
        (".json", "application/json", _CHECKED),
        # of the viewer's page
        (".html", "text/html; charset=utf-8", _CHECKED),
        (".css", "text/css; charset=utf-8", _CHECKED),
        (".js", "text/javascript; charset=utf-8", _CHECKED),
        (".svg", "image/svg+xml", _CHECKED),
        (".txt", "text/plain; charset=utf-8", _CHECKED),
    )
}


def check_id(slide_id: str) -> str:
    """The id itself where the layout allows it as a folder's name, else OptionError."""
    if not _ID.fullmatch(slide_id):
        raise OptionError(
            f"{slide_id!r} cannot be an id: letters, digits, '.', '_' and '-' only, not starting "
            "with '.', at most 128; give another with --id, or have ids made of such names with "
            f"--ids safe: {safe_id(slide_id)}"
        )
    if _is_reserved(slide_id):
        raise OptionError(
            f"{slide_id!r} cannot be an id: files beside the slides have such names; give another "
            "with --id"
        )
    return slide_id


def safe_id(name: str) -> str:
    """The name itself where it can be an id. Else what is left of it without accents and spaces,
    and a digest, so that it is always the same, and never that of another name."""
    if is_id(name):
        return name
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub("[^A-Za-z0-9_]+", "-", letters).strip("-")[:_SAFE_LETTERS]
    whole = raw(unicodedata.normalize("NFC", name))
    return "-".join(filter(None, [words, hashlib.sha256(whole).hexdigest()[:_SAFE_DIGITS]]))


def opaque_id(name: str, key: bytes) -> str:
    """An id that is always the same for the name and the key, and tells neither."""
    whole = raw(unicodedata.normalize("NFC", name))
    made = hmac.digest(key, whole, "sha256")[:_OPAQUE_BYTES]
    return base64.b32encode(made).decode().lower()


def is_opaque(name: str) -> bool:
    """Whether the name is of the kind of opaque ids."""
    return _OPAQUE.fullmatch(name) is not None


def is_id(name: str) -> bool:
    return _ID.fullmatch(name) is not None and not _is_reserved(name)


def _is_reserved(name: str) -> bool:
    return name.lower() in (CATALOG, ROOT) or is_shard(name.lower())


def folder(slide_id: str) -> str:
    """The key prefix, without a slash at its end, under which all objects of a slide live."""
    return f"{IMAGES}/{slide_id}"


def catalog_key() -> str:
    return f"{IMAGES}/{CATALOG}"


def root_key() -> str:
    """Of the id by which a destination and its private place know each other: it is in both."""
    return f"{IMAGES}/{ROOT}"


def is_private(key: str) -> bool:
    """Whether the key is of a part that nobody serves."""
    return key.partition("/")[0] in PRIVATE_PARTS


def shard_name(generation: str, number: int) -> str:
    """The name, beside the catalog's, of one of those that it is spread over; those that were made
    together are of one generation."""
    return f"index-{generation}-{number:02d}.json"


def is_shard(name: str) -> bool:
    return _SHARD.fullmatch(name) is not None


def descriptor_key(folder: str) -> str:
    return f"{folder}/{DESCRIPTOR}"


def packed_name(token: str) -> str:
    """The name of the object that holds all tiles, which is never of other ones: the token (32
    hexadecimal digits) is of what they are made of."""
    return f"DeepZoom-{token}.szi"


def is_packed(name: str) -> bool:
    """Whether such an object has that name."""
    return _PACKED.fullmatch(name) is not None


def slide_json_key(folder: str) -> str:
    return f"{folder}/{SLIDE_JSON}"


def icc_key(folder: str) -> str:
    return f"{folder}/{ICC}"


def associated_key(folder: str, name: str) -> str:
    return f"{folder}/{name}.jpeg"


def tiles_prefix(folder: str) -> str:
    return f"{folder}/{_TILES}/"


def private_folder(slide_id: str) -> str:
    """Where what is known of a slide, and nobody serves, lies."""
    return f"{KEPT}/{slide_id}"


def private_json_key(slide_id: str) -> str:
    return f"{private_folder(slide_id)}/slide.private.json"


def private_image_key(slide_id: str, name: str) -> str:
    return associated_key(private_folder(slide_id), name)


def failed_key(slide_id: str) -> str:
    """Of why the slide could not be converted."""
    return f"{FAILED}/{slide_id}.json"


def place_key(slide_id: str) -> str:
    """Of where the slide's file is, as `watch` remembers it."""
    return f"{PLACES}/{slide_id}"


def lease_key(folder: str) -> str:
    """Of the note by which a process keeps others off the folder, in a bucket."""
    return f".leases/{folder}"


def is_own(folder: str, key: str) -> bool:
    """Whether the key is one that the layout has for something in the folder."""
    return key.startswith(f"{folder}/") and is_file(key[len(folder) + 1 :])


def is_file(name: str) -> bool:
    """Whether the layout has a file of that name, with slashes, in a slide's folder."""
    return _FILE.fullmatch(name) is not None


def is_folder(name: str) -> bool:
    """Whether the layout has a folder of that name in a slide's folder."""
    return _FOLDER.fullmatch(name) is not None


def tile_key(folder: str, address: TileAddress) -> str:
    return f"{tiles_prefix(folder)}{address}.{FORMAT}"


def is_key(key: str) -> bool:
    """Whether the layout can have an object under the key, whatever the slide is."""
    return _KEY.fullmatch(key) is not None


def is_private_key(key: str) -> bool:
    """Whether the private place's layout can have an object under the key."""
    return _PRIVATE.fullmatch(key) is not None


def is_private_astray(key: str) -> bool:
    """Whether the key ends as one of the private place's does, wherever it is."""
    return _ASTRAY.fullmatch(key) is not None


def http_headers(key: str) -> dict[str, str]:
    """What a server says about the object: its type, and how long it may be kept."""
    headers = dict(_HTTP_HEADERS.get(key[key.rfind(".") :], {}))
    if is_private(key):
        headers["Cache-Control"] = _NEVER
    elif key.rpartition("/")[2] in _REVOCABLE:
        headers["Cache-Control"] = _CHECKED
    return headers
