"""Training: recipes, the hybrid loss, batches, the loop, run folders, ablations."""
