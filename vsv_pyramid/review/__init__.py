"""What technicians find of slides, and what becomes of it."""
