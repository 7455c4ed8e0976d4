"""The parameters of the flows. Each parameter is defined once, as a field of a model in this package.

The form in Prefect's UI, the variables of `python -m flows`, the fields of the ClaudeCode block and the tables of
docs/parameters.md are generated from these fields.
"""
