"""The commands `runs`: list and delete the saved state of runs; continue or repeat a run."""
