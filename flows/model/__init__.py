"""Connects the agent to the model through a gateway in the flow's process, and counts what the model costs."""
