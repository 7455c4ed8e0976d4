"""Runs a repository's own checks on a change, in a fresh checkout that holds nothing else that the agent wrote."""
