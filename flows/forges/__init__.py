"""The forges: kinds of git hosts, such as GitHub. Each forge is one file, and one line in `table.py`."""
