"""Creates AWS sessions, checks AWS credentials, and maps AWS errors to errors of `flows.errors`."""
