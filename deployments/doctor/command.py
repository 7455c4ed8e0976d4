"""The command `doctor`, which runs all checks and prints the result of each check."""

import os
from typing import Annotated, Any

import typer

from deployments.cli.app import app
from deployments.cli.errors import InvalidParameter
from deployments.cli.refusals import refusals
from deployments.cli.terminal import console
from deployments.doctor.checks import Patient
from deployments.doctor.findings import Verdict, as_line, findings
from deployments.prefect.run_parameters import apply_settings, instructions_parameter
from flows.credential_values import check_environment, strip_environment
from flows.parameters.implement import check_before_run

_PLACEHOLDER_URL = "https://example.com/owner/repository"


@app.command()
def doctor(
    repo_url: Annotated[
        str, typer.Option("--repo-url", help="The URL of the repository to check with the git token.")
    ] = "",
    instructions: Annotated[
        str,
        typer.Option(
            "--instructions",
            help="The address of the instructions: s3://bucket/file.md, s3://bucket/*, or that of an issue.",
        ),
    ] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Another parameter of the run, as NAME=VALUE, such as provider=anthropic. May be repeated."
        ),
    ] = None,
) -> None:
    """Check what a run needs: credentials, AWS region, model, run store, Prefect API and the git token's rights.

    No run is started. The check of the model requests one token of output, which costs less than a cent. The exit
    status is 1 if a check failed.
    """
    with refusals():
        strip_environment(os.environ)
        source: dict[str, Any] = instructions_parameter(instructions) or {"instructions": "-"}
        if "instructions" in source and instructions and not repo_url:
            raise InvalidParameter("an issue is checked together with its repository: add --repo-url https://…")
        parameters = apply_settings({"repo_url": repo_url or _PLACEHOLDER_URL, **source}, settings or [])
        patient = Patient(check_before_run(parameters), has_repository=bool(repo_url))
    failed = 0
    for finding in findings([("form of the credentials", _form_of_credentials), *patient.checks()]):
        console().print(as_line(finding), soft_wrap=True)
        failed += finding.verdict is Verdict.FAILED
    if failed:
        console().print(f"of these checks, {failed} failed: docs/troubleshooting.md explains each error by its name")
        raise typer.Exit(1)
    console().print("a run with these parameters can start")


def _form_of_credentials() -> str:
    check_environment(os.environ)
    return "each credential in the environment has a valid form"
