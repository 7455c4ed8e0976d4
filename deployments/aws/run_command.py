"""The command that starts a run."""

from typing import Annotated, Any

import typer

from deployments.aws import options
from deployments.aws.account import Account, open_account
from deployments.aws.network import find_network
from deployments.aws.run import ON_DEMAND, RunRequest, checked, start
from deployments.cli import prefect_api
from deployments.cli.app import app
from deployments.cli.options import DryRun
from deployments.cli.refusals import refusals
from deployments.cli.terminal import console
from deployments.prefect.run_parameters import as_json, pairs

_Parameters = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", help="Any other parameter of the flow, as NAME=VALUE; the value may be JSON."),
]
_Variables = Annotated[
    list[str] | None, typer.Option("--env", help="A variable for the run's process, as NAME=VALUE; never a secret.")
]


@app.command()
def run(
    repo_url: Annotated[str, typer.Option("--repo-url", help="The repository's https URL.")],
    instructions: Annotated[
        str, typer.Option("--instructions", help="s3://bucket/file.md or s3://bucket/folder/*")
    ] = "",
    secret_name: Annotated[str, typer.Option("--secret-name", help="Another git secret than the default.")] = "",
    branch_name: Annotated[str, typer.Option("--branch-name", help="The branch to push.")] = "",
    param: _Parameters = None,
    env: _Variables = None,
    subnet: options.Subnets = None,
    security_group: options.SecurityGroups = None,
    assign_public_ip: options.PublicIp = False,
    on_demand: Annotated[bool, typer.Option("--on-demand", help="Not on Spot capacity.")] = False,
    deployment: Annotated[str, typer.Option("--deployment", help="Which one to run.")] = "implement/ecs",
    region: options.Region = options.REGION,
    project: options.Project = options.PROJECT,
    dry_run: DryRun = False,
) -> None:
    """5. Start a run, and print its address in Prefect's UI."""
    with refusals(), prefect_api.prefect_api() as prefect:
        account = open_account(project, region)
        named = {
            "repo_url": repo_url,
            "instructions_s3_uri": instructions,
            "git_credentials_secret_id": secret_name,
            "branch_name": branch_name,
        }
        variables = _network(account, subnet, security_group, public_ip=assign_public_ip)
        variables |= _variables(env, on_demand=on_demand)
        request = RunRequest(deployment, _parameters(named, param), variables)
        found, length = checked(prefect, account, request)
        if dry_run:
            console().print(f"would start a run of {deployment}; its overrides are {length:,} of 8,192 characters")
            return
        name, address = start(prefect, found, request)
        console().print(f"started {name}: {address}", soft_wrap=True)


def _parameters(named: dict[str, str], others: list[str] | None) -> dict[str, Any]:
    """Return the parameters that were set; for the others the flow has defaults."""
    parsed = {name: as_json(value) for name, value in pairs(others or [], "--param").items()}
    return {name: value for name, value in named.items() if value} | parsed


def _variables(env: list[str] | None, *, on_demand: bool) -> dict[str, Any]:
    variables: dict[str, Any] = {"env": pairs(env, "--env")} if env else {}
    return variables | ({"capacity_provider_strategy": ON_DEMAND} if on_demand else {})


def _network(
    account: Account, subnets: list[str] | None, security_groups: list[str] | None, *, public_ip: bool
) -> dict[str, Any]:
    if not subnets and not security_groups:
        return {}
    return find_network(account, subnets or [], security_groups or [], public_ip=public_ip).job_variables()
