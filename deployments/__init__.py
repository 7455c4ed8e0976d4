"""The commands that set up the workflow on AWS and a Prefect server, and a local stack for the demo and the tests."""
