"""The agent's user, its directories, and the processes that run as it."""
