"""Saves the state of a run, from which another machine can resume the run."""
