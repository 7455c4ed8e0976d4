"""The commands that need both AWS and a Prefect API: pool, up, status, down."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Annotated

import typer
from prefect.client.orchestration import SyncPrefectClient

from deployments.aws import infrastructure, options, removal
from deployments.aws.account import PREFECT_SECRET, Account, open_account
from deployments.aws.commands import access_of, git_secret_value, github_app_fields
from deployments.aws.ecs_pool import current_network
from deployments.aws.image import project_image
from deployments.aws.network import Network, find_network
from deployments.aws.secret import Secret
from deployments.aws.setup_plan import Setup
from deployments.aws.status import table
from deployments.cli import prefect_api
from deployments.cli.app import app
from deployments.cli.errors import NoPrefectApi, TokenMissing
from deployments.cli.options import DryRun
from deployments.cli.refusals import refusals
from deployments.cli.step import carry_out
from deployments.cli.terminal import console


@app.command()
def pool(
    subnet: options.Subnets = None,
    security_group: options.SecurityGroups = None,
    assign_public_ip: options.PublicIp = False,
    slim: options.Slim = False,
    tag: options.Tag = "",
    no_worker: options.NoWorker = False,
    results_days: options.ResultsDays = 0,
    region: options.Region = options.REGION,
    project: options.Project = options.PROJECT,
    dry_run: DryRun = False,
) -> None:
    """4. Create the cluster, the buckets, the Prefect work pools, the deployments, and the worker's service."""
    with refusals(), prefect_api.prefect_api() as prefect:
        account = open_account(project, region)
        network = network_of(account, prefect, subnet, security_group, public_ip=assign_public_ip)
        image = project_image(account, tag, slim=slim)
        infrastructure.roles(account, access_of("", None, "", "")).require("roles")
        image.pinned()
        setup = Setup(
            account, prefect, network, image, results_days=results_days, worker=not no_worker, dry_run=dry_run
        )
        warn_of_loopback()
        carry_out(setup.pool(), console(), dry_run=dry_run)


@app.command()
def up(
    subnet: options.Subnets = None,
    security_group: options.SecurityGroups = None,
    assign_public_ip: options.PublicIp = False,
    token: options.Token = "",
    email: options.Email = "",
    host: options.Hosts = None,
    repository: options.Repositories = None,
    app_id: options.AppId = "",
    private_key: options.PrivateKey = None,
    installation_id: options.InstallationId = "",
    secret_name: options.SecretName = options.SECRET_NAME,
    model_id: options.ModelIds = None,
    instructions_bucket: options.InstructionsBucket = "",
    instructions_prefix: options.InstructionsPrefix = "",
    slim: options.Slim = False,
    tag: options.Tag = "",
    no_worker: options.NoWorker = False,
    results_days: options.ResultsDays = 0,
    region: options.Region = options.REGION,
    project: options.Project = options.PROJECT,
    dry_run: DryRun = False,
) -> None:
    """Run all four steps: secret, roles, image, pool. Run it again with other options to update what differs."""
    with refusals(), prefect_api.prefect_api() as prefect:
        github_app = github_app_fields(app_id, private_key, installation_id, token)
        account = open_account(project, region)
        network = network_of(account, prefect, subnet, security_group, public_ip=assign_public_ip)
        access = access_of(secret_name, model_id, instructions_bucket, instructions_prefix)
        image = project_image(account, tag, slim=slim)
        setup = Setup(account, prefect, network, image, access, results_days, worker=not no_worker, dry_run=dry_run)
        stored = git_secret_step(account, secret_name, token, email, host, repository, github_app)
        warn_of_loopback()
        carry_out(setup.up(stored), console(), dry_run=dry_run)


def network_of(
    account: Account,
    prefect: SyncPrefectClient,
    subnets: list[str] | None,
    security_groups: list[str] | None,
    *,
    public_ip: bool,
) -> Network:
    """Return the network that the command's options name; without options, that of the ECS pool on the server."""
    if subnets or security_groups or (network := current_network(prefect)) is None:
        return find_network(account, subnets or [], security_groups or [], public_ip=public_ip)
    return network


def git_secret_step(
    account: Account,
    name: str,
    token: str,
    email: str,
    hosts: list[str] | None,
    repositories: list[str] | None,
    github_app: Mapping[str, str],
) -> Secret:
    """Return the step that stores the git secret. Without options, it changes nothing, and the secret must exist."""
    if token or email or hosts or repositories or github_app:
        return Secret(account, name, git_secret_value(token, email, hosts, repositories, github_app))
    if not Secret(account, name).arn():
        raise TokenMissing(
            f"there is no secret {name}: set --email, and the token with --token - or at the prompt; or "
            "--app-id and --private-key"
        )
    return Secret(account, name)


def warn_of_loopback() -> None:
    """Warn if the address of the Prefect API is a loopback address, which tasks on AWS cannot reach."""
    if prefect_api.is_loopback(url := prefect_api.api_url()):
        console().print(f"[yellow]{url} is this machine's own address: tasks on AWS cannot reach it[/yellow]")


@app.command()
def status(
    secret_name: options.SecretName = options.SECRET_NAME,
    region: options.Region = options.REGION,
    project: options.Project = options.PROJECT,
) -> None:
    """Show which resources exist on AWS and on the Prefect server."""
    with refusals():
        account = open_account(project, region)
        try:
            with prefect_api.prefect_api() as prefect:
                console().print(table(account, prefect, secret_name))
        except NoPrefectApi:
            console().print(table(account, None, secret_name))


@app.command()
def down(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    delete_data: Annotated[
        bool,
        typer.Option(
            "--delete-data", help="Empty and delete the buckets. Without the option, they stay unless they are empty."
        ),
    ] = False,
    aws_only: Annotated[bool, typer.Option("--aws-only", help="Do not change the Prefect server.")] = False,
    secret_name: options.SecretName = options.SECRET_NAME,
    region: options.Region = options.REGION,
    project: options.Project = options.PROJECT,
    dry_run: DryRun = False,
) -> None:
    """Remove everything that the command up created. Buckets with data stay, unless you set --delete-data."""
    with refusals():
        account = open_account(project, region)
        with nullcontext() if aws_only else prefect_api.prefect_api() as prefect:
            steps = list(removal.removal(account, prefect, [secret_name, PREFECT_SECRET], delete_data=delete_data))
            if not dry_run and not yes:
                carry_out(steps, console(), dry_run=True)
                typer.confirm("remove all of this?", abort=True)
            carry_out(steps, console(), dry_run=dry_run)
        if removal.EmptyBuckets(account).plan():
            console().print("the buckets are not empty and stay: --delete-data empties and deletes them")
