"""Where the pixels lie, and under which keys."""
