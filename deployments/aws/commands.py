"""The commands that need AWS but no Prefect API: secret, roles, image."""

import sys

import typer
from pydantic import SecretStr

from deployments.aws import infrastructure, options
from deployments.aws.account import open_account
from deployments.aws.image import Image, commit_tag
from deployments.aws.infrastructure import Access
from deployments.aws.secret import Secret, Value, git_secret
from deployments.cli.app import app
from deployments.cli.errors import TokenMissing
from deployments.cli.options import DryRun
from deployments.cli.refusals import refusals
from deployments.cli.step import carry_out
from deployments.cli.terminal import console


@app.command()
def secret(
    token: options.Token = "",
    email: options.Email = "",
    host: options.Hosts = None,
    repository: options.Repositories = None,
    secret_name: options.SecretName = options.SECRET_NAME,
    region: options.Region = options.REGION,
    project: options.Project = options.PROJECT,
    dry_run: DryRun = False,
) -> None:
    """1. Store the git token, the author's e-mail address and the allowed repositories in AWS Secrets Manager."""
    with refusals():
        account = open_account(project, region)
        step = Secret(account, secret_name, git_secret_value(token, email, host, repository))
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
    tag: options.Tag = "",
    region: options.Region = options.REGION,
    project: options.Project = options.PROJECT,
    dry_run: DryRun = False,
) -> None:
    """3. Create the ECR repository for the project's image, build the image, and push it."""
    with refusals():
        account = open_account(project, region)
        tagged_image = Image(account, tag or commit_tag())
        carry_out([infrastructure.registry(account), tagged_image], console(), dry_run=dry_run)
        if not dry_run:
            console().print(tagged_image.pinned(), soft_wrap=True)


def git_secret_value(token: str, email: str, hosts: list[str] | None, repositories: list[str] | None) -> Value:
    """Return a function that computes the new value of the git secret from the stored value.

    Unless only hosts or repositories are set, the token is first read from the option, standard input or a prompt.
    """
    only_binding = (hosts or repositories) and not token and not email
    return git_secret(None if only_binding else read_token(token), email, hosts or (), repositories or ())


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
