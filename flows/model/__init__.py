"""The trusted side's way to the model: gateway, meter, prices and providers."""
