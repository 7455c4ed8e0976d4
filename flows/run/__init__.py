"""Opening and closing a run."""
