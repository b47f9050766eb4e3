"""Derain photographs of any size, in any common image format."""
