"""Files of weights: the project's own, and those that the authors released."""
