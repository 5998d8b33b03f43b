"""What runs without anybody beside it."""
