"""The workflows. `flows.implement` is the one that a deployment runs."""
