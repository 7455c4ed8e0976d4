"""The objects that the commands create on a Prefect server: work pools, deployments, blocks and automations."""
