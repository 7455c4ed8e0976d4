"""The flows' parameters. A field of a model here is the only place of a parameter.

The form in Prefect's UI, the variables of `python -m flows`, the fields of the ClaudeCode block and the tables of
docs/parameters.md are made from the fields.
"""
