"""The trusted side's access to the model: gateway, meter, prices and providers."""
