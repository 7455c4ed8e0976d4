"""Commands that create and remove the resources on AWS and on the Prefect server, and a command that starts runs."""
