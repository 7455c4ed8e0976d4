"""Automations on the Prefect server. They mark lost runs as crashed, run them again, and notify people."""
