"""Writes the commands that a person can run after a run: to start another one, or to fetch the saved change."""

import json
import shlex
from collections.abc import Mapping


def fetch_command(source: str, branch: str, then: str = "git show FETCH_HEAD") -> str:
    """Return a command that fetches a branch of a repository or bundle, and runs `then`. It works in any clone."""
    if source.startswith("s3://"):
        file = source.rpartition("/")[2]
        copy = f"aws s3 cp {shlex.quote(source)} {shlex.quote(file)}"
        return f"{copy} && {fetch_command(file, branch, then)}"
    return f"git fetch {shlex.quote(source)} {shlex.quote(branch)} && {then}"


def continue_command(deployment: str, repo_url: str, branch: str, parameters: Mapping[str, object]) -> str:
    """Return the command that starts a run on a branch.

    Args:
        deployment: The name of the deployment, without the flow's name; empty if there is none.
        repo_url: The repository.
        branch: The branch, which the run continues.
        parameters: What else the run needs; see `ImplementParameters.for_next_run`.
    """
    names = {"repo_url": repo_url, "branch_name": branch, "instructions": "…"}
    return start_command("implement", deployment, {**names, **parameters})


def follow_up_command(deployment: str, flow_run_id: str, parameters: Mapping[str, object] | None = None) -> str:
    """Return the command that follows up on the review of the branch which a run has pushed."""
    return start_command("follow_up", deployment, {"flow_run_id": flow_run_id, **(parameters or {})})


def start_command(flow: str, deployment: str, parameters: Mapping[str, object]) -> str:
    """Return the command that starts a run.

    The command passes the parameters as JSON. A text therefore stays a text, and may contain quotes and line breaks.
    """
    name = shlex.quote(f"{flow}/{deployment or 'local'}")
    return f"prefect deployment run {name} --params {shlex.quote(json.dumps(parameters, ensure_ascii=False))}"
