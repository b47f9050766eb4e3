"""What the notebooks draw with. Needs the extra "book"."""
