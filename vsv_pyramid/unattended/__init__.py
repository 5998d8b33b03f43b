"""What runs without anybody beside it: a watched folder, a backlog."""
