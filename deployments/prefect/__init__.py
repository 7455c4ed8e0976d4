"""What the commands put on a Prefect server: pools, deployments, blocks, automations."""
