"""What happens to people who run such a system: what is done, and what is told and left."""
