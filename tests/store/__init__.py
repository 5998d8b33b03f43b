"""Where pyramids are published."""
