"""The start and the end of a process that executes a flow."""
