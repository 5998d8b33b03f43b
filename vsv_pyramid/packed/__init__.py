"""A pyramid in one object: an uncompressed zip after the SZI convention, its index in front."""
