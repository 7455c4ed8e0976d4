"""The checks of a change before it is pushed. Each check is one file, and one line in `table.py`."""
