"""Whether a pyramid is what it is to be."""
