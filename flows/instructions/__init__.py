"""The instructions of a run, from S3 or from a parameter."""
