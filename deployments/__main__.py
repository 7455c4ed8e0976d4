"""Runs the set-up commands: `python -m deployments COMMAND`."""

from deployments.aws import commands, prefect_commands, run_command
from deployments.cli.app import app
from deployments.doctor import command as doctor_command
from deployments.prefect.automations import command as automations_command
from deployments.runs import command as runs_command

__all__ = [
    "app",
    "automations_command",
    "commands",
    "doctor_command",
    "prefect_commands",
    "run_command",
    "runs_command",
]

if __name__ == "__main__":
    app(prog_name="python -m deployments")
