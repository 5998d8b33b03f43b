"""Where the pixels of a pyramid lie, and under which keys they are published."""
