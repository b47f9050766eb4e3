"""Deraining a photograph of any kind and size."""
