"""`python -m deployments`: the set-up commands."""

from deployments.aws import prefect_commands, run_command
from deployments.aws.commands import app

__all__ = ["app", "prefect_commands", "run_command"]

if __name__ == "__main__":
    app(prog_name="python -m deployments")
