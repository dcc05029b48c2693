"""One offline page that a person opens to see what a study found; it reads the study's folder and nothing else."""
