"""AWS sessions, and AWS errors as named errors."""
