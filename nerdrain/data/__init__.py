"""Photographs, image files, synthetic rain, and pairs of rainy and clean images."""
