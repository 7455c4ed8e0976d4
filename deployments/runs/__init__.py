"""The saved state of runs: list it, delete it."""
