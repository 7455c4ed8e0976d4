"""Connects the agent to the model through the flow's process: gateway, meter, prices and providers."""
