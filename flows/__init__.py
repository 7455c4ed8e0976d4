"""The Prefect flows of this project and the code that they run. The main flow is in `flows.implement`."""
