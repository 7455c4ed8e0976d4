"""A run's parameters: their types, checks, form and environment variables."""
