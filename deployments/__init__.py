"""Commands that set up the workflow on AWS and on a Prefect server, and local servers for the demo and the tests."""
