"""Pure functions on batches of pictures: every item has its own parameters, and its result depends on nothing else."""
