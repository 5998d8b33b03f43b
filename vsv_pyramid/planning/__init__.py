"""What will be made of a slide, before it is made."""
