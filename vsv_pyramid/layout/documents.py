"""The JSON documents of the published layout, as bytes."""

from __future__ import annotations

import json
from typing import Any


def to_json(document: dict[str, Any]) -> bytes:
    """The document as the ASCII bytes of an indented JSON file."""
    return (json.dumps(document, indent=2) + "\n").encode()
