"""Figures and sliders for the notebooks. They need the extra "book"."""
