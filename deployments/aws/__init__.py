"""The set-up commands: they create and remove resources on AWS and on the Prefect server, and start runs."""
