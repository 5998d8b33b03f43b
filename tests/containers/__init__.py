"""How files hold slides."""
