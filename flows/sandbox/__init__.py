"""Isolates the agent: creates the agent's user and a run's directories, and runs processes as that user."""
