"""Starts and ends the processes that execute a flow."""
