"""JPEG tiles joined without decoding them, and their halves."""
