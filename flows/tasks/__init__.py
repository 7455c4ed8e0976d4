"""The five steps as Prefect tasks: each file holds one step's retry and persistence policy, and calls its work."""
