"""Defines the forges, which are kinds of git servers such as GitHub: each in its own file, and all in `table.py`."""
