"""AWS sessions and credentials, and the mapping of AWS errors to errors of `flows.errors`."""
