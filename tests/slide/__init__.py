"""Slides as they come from scanners."""
