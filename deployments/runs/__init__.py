"""What runs have left in the run store, to be listed and deleted by whoever operates it."""
