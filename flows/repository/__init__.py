"""Handles git: the credentials, the remote, the clone, the agent's work tree, and the commit of the agent's change."""
