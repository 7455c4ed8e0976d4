"""git: credentials, the remote, the clone, the agent's work tree, and the change collected from it."""
