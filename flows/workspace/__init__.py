"""A run's place on disk: the trusted repository, the agent's work tree, and the one way between them."""
