"""The checks of a change before it is pushed: each check is one file, and one line in `table.py`."""
