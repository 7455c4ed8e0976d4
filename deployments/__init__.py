"""What puts the workflow on machines. `deployments.local` is a whole world on loopback, for the demo and the tests."""
