"""An attack on the whole product, on this machine only: `python -m tests.attack`."""
