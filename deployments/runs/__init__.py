"""The command group `runs`. Its commands list and delete the saved state of runs, and continue or repeat a run."""
