"""Situations out of reports of people who run such systems, a row each."""
