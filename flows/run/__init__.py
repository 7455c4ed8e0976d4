"""How a run is opened and closed."""
