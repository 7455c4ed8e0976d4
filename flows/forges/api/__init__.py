"""Defines the clients of the forges' APIs, which open pull requests: each in its own file, and all in `table.py`."""
