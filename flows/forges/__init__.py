"""The hosts of git repositories: each forge is one file, and one line in `table.py`."""
