"""What is published, and the private place beside it."""
