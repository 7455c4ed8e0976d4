"""The agent's user, a run's directories, and the processes that run as the agent."""
