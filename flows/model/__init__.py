"""Gives the agent access to the model from the trusted side: gateway, meter, prices and providers."""
