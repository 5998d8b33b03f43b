"""A server of a slide as it is: DeepZoomGenerator makes each tile when it is asked for."""

from __future__ import annotations

import argparse
import io
import threading
from pathlib import Path

from openslide import OpenSlide
from openslide.deepzoom import DeepZoomGenerator
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vsv_pyramid.web import server

# As in openslide-python's own examples/deepzoom/deepzoom_server.py.
TILE_SIZE, OVERLAP, QUALITY = 254, 1, 75


def generator(slide: Path) -> DeepZoomGenerator:
    return DeepZoomGenerator(OpenSlide(slide), TILE_SIZE, OVERLAP, limit_bounds=True)


def app(slide: Path, slide_id: str) -> Starlette:
    """The slide as /images/ID.dzi; tiles are made in the server's pool of threads."""
    tiles = generator(slide)

    def descriptor(_: Request) -> Response:
        return Response(tiles.get_dzi("jpeg"), media_type="application/xml")

    def tile(request: Request) -> Response:
        level, column, row = (request.path_params[name] for name in ("level", "column", "row"))
        try:
            made = tiles.get_tile(level, (column, row))
        except ValueError:
            return Response(status_code=404)
        file = io.BytesIO()
        made.save(file, "JPEG", quality=QUALITY)
        return Response(file.getvalue(), media_type="image/jpeg")

    address = "{level:int}/{column:int}_{row:int}.jpeg"
    return Starlette(
        routes=[
            Route(f"/images/{slide_id}.dzi", descriptor),
            Route(f"/images/{slide_id}_files/{address}", tile),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--id", required=True)
    options = parser.parse_args()
    with server.listener("127.0.0.1", 0) as listening:
        print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        server.Server(app(options.slide, options.id), threading.Event()).run(sockets=[listening])


if __name__ == "__main__":
    main()
