"""`python -m deployments`: the set-up commands."""

from deployments.aws import prefect_commands, run_command
from deployments.aws.commands import app
from deployments.prefect.automations import command as automations_command
from deployments.runs import command as keepings_command

__all__ = ["app", "automations_command", "keepings_command", "prefect_commands", "run_command"]

if __name__ == "__main__":
    app(prog_name="python -m deployments")
