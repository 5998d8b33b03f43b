"""Amazon: the way to it, and what it says."""
