"""Tiles, from the slide's to the smallest."""
