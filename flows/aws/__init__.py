"""AWS sessions and credentials, and the mapping of AWS errors to named errors."""
