"""From base tiles to all tiles: the leaf sources and the quadtree."""
