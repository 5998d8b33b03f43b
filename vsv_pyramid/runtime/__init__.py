"""The process: its clock, its threads, and the signals that end it."""
