"""Automations on the Prefect server: they mark lost runs as crashed, run them again, and notify people."""
