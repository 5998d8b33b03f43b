"""What technicians find, and what becomes of it."""
