"""Amazon, and what it says."""
