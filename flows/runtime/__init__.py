"""What starts a process that executes a flow."""
