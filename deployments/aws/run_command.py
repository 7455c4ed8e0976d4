"""The command `run`, which starts a run."""

from typing import Annotated, Any

import typer

from deployments.aws import options
from deployments.aws.account import Account, open_account
from deployments.aws.network import find_network
from deployments.aws.run import ON_DEMAND, RunRequest, check_request, start
from deployments.cli import prefect_api
from deployments.cli.app import app
from deployments.cli.options import DryRun
from deployments.cli.refusals import refusals
from deployments.cli.terminal import console
from deployments.prefect.run_parameters import (
    FOLLOW_UP,
    IMPLEMENT,
    as_json,
    instructions_parameter,
    job_variables,
    pairs,
)

_Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--param", "-p", help="Another parameter of the flow, as NAME=VALUE. The value may be JSON. May be repeated."
    ),
]
_Variables = Annotated[
    list[str] | None,
    typer.Option(
        "--env", help="Environment variable of the run, as NAME=VALUE. It must not be a secret. May be repeated."
    ),
]


@app.command()
def run(
    repo_url: Annotated[str, typer.Option("--repo-url", help="HTTPS URL of the git repository.")] = "",
    instructions: Annotated[
        str,
        typer.Option(
            "--instructions",
            help="Address of the instructions: s3://bucket/file.md, s3://bucket/folder/*, or that of an issue.",
        ),
    ] = "",
    secret_name: Annotated[
        str, typer.Option("--secret-name", help="Name of the git secret, if it is not the default one.")
    ] = "",
    branch_name: Annotated[str, typer.Option("--branch-name", help="Branch to push to.")] = "",
    pull_request_url: Annotated[
        str,
        typer.Option(
            "--pull-request-url", help="Pull request of a run, whose review is followed up, instead of a repository."
        ),
    ] = "",
    param: _Parameters = None,
    env: _Variables = None,
    job_variable: options.JobVariables = None,
    subnet: options.Subnets = None,
    security_group: options.SecurityGroups = None,
    assign_public_ip: options.PublicIp = False,
    on_demand: Annotated[bool, typer.Option("--on-demand", help="Run on Fargate without Spot.")] = False,
    deployment: Annotated[
        str,
        typer.Option(
            "--deployment",
            help="Name of the deployment to run: implement/ecs by default, and follow_up/ecs for a pull request.",
        ),
    ] = "",
    region: options.Region = options.REGION,
    project: options.Project = options.PROJECT,
    dry_run: DryRun = False,
) -> None:
    """5. Start a run, and print the address of its page in Prefect's UI."""
    with refusals(), prefect_api.prefect_api() as prefect:
        account = open_account(project, region)
        named = {
            "repo_url": repo_url,
            **instructions_parameter(instructions),
            "git_credentials_secret_id": secret_name,
            "branch_name": branch_name,
            "pull_request_url": pull_request_url,
        }
        name = deployment or (f"{FOLLOW_UP}/ecs" if pull_request_url else f"{IMPLEMENT}/ecs")
        variables = _network(account, subnet, security_group, public_ip=assign_public_ip)
        variables |= _variables(env, on_demand=on_demand) | job_variables(job_variable)
        request = RunRequest(name, _parameters(named, param), variables)
        checked_deployment, length = check_request(prefect, account, request)
        if dry_run:
            console().print(f"would start a run of {name}; its overrides have {length:,} of 8,192 characters")
            return
        flow_run_name, address = start(prefect, checked_deployment, request)
        console().print(f"started {flow_run_name}: {address}", soft_wrap=True)


def _parameters(named: dict[str, str], param: list[str] | None) -> dict[str, Any]:
    """Return the parameters that the user has set with options. The flow has defaults for all other parameters."""
    parsed = {name: as_json(value) for name, value in pairs(param or [], "--param").items()}
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
