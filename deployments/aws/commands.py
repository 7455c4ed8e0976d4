"""The commands secret, roles and image. They need AWS; image needs the Prefect API too, for an image of one's own."""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import typer
from pydantic import SecretStr

from deployments.aws import infrastructure, options
from deployments.aws.account import open_account
from deployments.aws.image import own_image, project_image
from deployments.aws.infrastructure import Access
from deployments.aws.own_image import OwnImage
from deployments.aws.secret import Secret, Value, git_secret
from deployments.cli import prefect_api
from deployments.cli.app import app
from deployments.cli.errors import InvalidParameter, TokenMissing
from deployments.cli.options import DryRun
from deployments.cli.refusals import refusals
from deployments.cli.step import carry_out
from deployments.cli.terminal import console
from deployments.prefect.run_parameters import job_variables
from flows.forges.github_app import APP_ID, INSTALLATION_ID, PRIVATE_KEY
from flows.repository.secret_fields import API_URLS, HOSTS, REPOSITORIES


@app.command()
def secret(
    token: options.Token = "",
    email: options.Email = "",
    host: options.Hosts = None,
    repository: options.Repositories = None,
    forge_api_url: options.ApiUrls = None,
    app_id: options.AppId = "",
    private_key: options.PrivateKey = None,
    installation_id: options.InstallationId = "",
    secret_name: options.SecretName = options.SECRET_NAME,
    region: options.Region = options.REGION,
    project: options.Project = options.PROJECT,
    dry_run: DryRun = False,
) -> None:
    """1. Store the git token, the author's e-mail address and the allowed repositories in AWS Secrets Manager.

    With --app-id and --private-key, the secret has a GitHub App instead of a token.
    """
    with refusals():
        github_app = github_app_fields(app_id, private_key, installation_id, token)
        account = open_account(project, region)
        value = git_secret_value(token, email, host, repository, github_app, forge_api_url)
        step = Secret(account, secret_name, value)
        carry_out([step], console(), dry_run=dry_run)


@app.command()
def roles(
    secret_name: options.SecretName = options.SECRET_NAME,
    model_id: options.ModelIds = None,
    instructions_bucket: options.InstructionsBucket = "",
    instructions_prefix: options.InstructionsPrefix = "",
    region: options.Region = options.REGION,
    project: options.Project = options.PROJECT,
    dry_run: DryRun = False,
) -> None:
    """2. Create three IAM roles: one for ECS to start tasks, one for runs, and one for the Prefect worker."""
    with refusals():
        account = open_account(project, region)
        access = access_of(secret_name, model_id, instructions_bucket, instructions_prefix)
        carry_out([infrastructure.roles(account, access)], console(), dry_run=dry_run)


@app.command()
def image(
    dockerfile: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Your own Dockerfile, which starts with FROM claude-code-headless. It needs --name."
        ),
    ] = None,
    name: Annotated[
        str, typer.Option("--name", help="Name of your own image. Its deployment is implement/ecs-NAME.")
    ] = "",
    job_variable: options.JobVariables = None,
    slim: options.Slim = False,
    tag: options.Tag = "",
    region: options.Region = options.REGION,
    project: options.Project = options.PROJECT,
    dry_run: DryRun = False,
) -> None:
    """3. Create the ECR repository for the project's image, build the image, and push it.

    With --from and --name, do the same for an image of your own, and create a deployment that runs in it.
    """
    with refusals():
        if bool(dockerfile) != bool(name):
            raise InvalidParameter("an image of your own needs both: --from your.Dockerfile --name node22")
        if job_variable and not dockerfile:
            raise InvalidParameter("--job-variable needs --from and --name: it is for the deployment of your own image")
        account = open_account(project, region)
        if dockerfile:
            tagged_image = own_image(account, name, dockerfile, tag, slim=slim)
            with prefect_api.prefect_api() as prefect:
                own = OwnImage(account, prefect, name, tagged_image, job_variables(job_variable), dry_run=dry_run)
                carry_out(own.steps(), console(), dry_run=dry_run)
        else:
            tagged_image = project_image(account, tag, slim=slim)
            carry_out([infrastructure.registry(account), tagged_image], console(), dry_run=dry_run)
        if not dry_run:
            console().print(tagged_image.pinned(), soft_wrap=True)


def github_app_fields(app_id: str, private_key: Path | None, installation_id: str, token: str) -> dict[str, str]:
    """Return the fields of the git secret for a GitHub App; none if no option is about one."""
    try:
        key = private_key.read_text("utf-8", "replace") if private_key else ""
    except OSError as error:
        raise InvalidParameter(f"--private-key: the file cannot be read: {error.strerror}") from None
    fields = {APP_ID: app_id, PRIVATE_KEY: key, INSTALLATION_ID: installation_id}
    github_app = {name: value for name, value in fields.items() if value}
    if github_app and token:
        raise InvalidParameter("--token and the options of a GitHub App are both set: choose one of them")
    return github_app


def git_secret_value(
    token: str,
    email: str,
    hosts: list[str] | None,
    repositories: list[str] | None,
    github_app: Mapping[str, str] = MappingProxyType({}),
    api_urls: list[str] | None = None,
) -> Value:
    """Return a function that computes the new value of the git secret from the stored value.

    Unless only hosts, repositories, addresses of APIs or a GitHub App are set, the token is first read from the option,
    standard input or a prompt.
    """
    only_binding = (hosts or repositories or api_urls) and not token and not email
    no_token = only_binding or bool(github_app)
    lists = {HOSTS: hosts, REPOSITORIES: repositories, API_URLS: api_urls}
    return git_secret(None if no_token else read_token(token), email, lists, github_app)


def access_of(secret_name: str, model_ids: list[str] | None, bucket: str, prefix: str) -> Access:
    """Return the git secret, the models and the instructions that runs may use according to a command's options."""
    return Access(secret_name, tuple(model_ids or ()), bucket, prefix)


def read_token(option: str) -> SecretStr:
    """Return the git token: the option's value, or standard input if the option is "-", or the answer to a prompt."""
    if option == "-":
        return SecretStr(sys.stdin.read().strip())
    if option:
        return SecretStr(option)
    if not sys.stdin.isatty():
        raise TokenMissing("there is no git token: pipe it in with --token -, or run the command at a terminal")
    return SecretStr(typer.prompt("git token", hide_input=True))
