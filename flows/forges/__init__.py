"""The forges that host git repositories: each is one file, and one line in `table.py`."""
