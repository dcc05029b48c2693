"""Pure functions on batches of pictures: every item has its own parameters, and what comes out depends on nothing else."""
