"""The kernel and its headers."""
