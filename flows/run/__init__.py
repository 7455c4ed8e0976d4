"""Opens a run, holds its lease, and closes it with a summary."""
