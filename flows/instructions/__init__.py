"""Loads the instructions of a run, which come from S3 or from a parameter."""
