"""Automations on the Prefect server. They mark lost runs as crashed, run crashed runs again, and notify people."""
