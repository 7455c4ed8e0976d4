"""Defines the clients that read and write reviews and issues: each forge in its own file, and all in `table.py`."""
