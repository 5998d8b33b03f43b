"""Writes the fuzzer's seeds, as fuzz_splice.py takes them, from the root of the checkout.

    python -m tests.fuzz.seeds

Each is a byte of options, then the tables and a tile of a variant.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.tiles import VARIANTS, tissue


def main() -> None:
    folder = Path(__file__).parent / "corpus"
    folder.mkdir(exist_ok=True)
    for i, variant in enumerate(VARIANTS):
        tables, tile = variant.tables(), variant.tile(tissue(32, 32, i))
        (folder / variant.name).write_bytes(
            bytes((i * 37 % 256,)) + len(tables).to_bytes(2, "big") + tables + tile
        )


if __name__ == "__main__":
    main()
