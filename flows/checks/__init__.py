"""What a change may hold when it is pushed: each check is one file, and one line in `table.py`."""
