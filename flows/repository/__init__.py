"""Everything about git: credentials, the remote, the clone, the agent's work tree, and the collection of the change."""
