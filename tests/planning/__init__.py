"""What will be made, before it is made."""
