"""What the Prefect server does by itself about runs: mark lost ones as crashed, run them again, tell people."""
