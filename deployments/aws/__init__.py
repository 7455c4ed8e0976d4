"""The set-up commands: what they make on AWS and on the Prefect server, take away, and start."""
