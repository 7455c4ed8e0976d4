"""The commands that need AWS alone: secret, roles, image."""

import typer

from deployments.aws import infrastructure
from deployments.aws.account import open_account
from deployments.aws.image import Image, commit_tag
from deployments.aws.infrastructure import Access
from deployments.aws.secret import Secret, git_secret
from deployments.cli import options
from deployments.cli.step import carry_out
from deployments.cli.terminal import console, read_token, refusals

app = typer.Typer(
    help="Put claude-code-headless on AWS: secret, roles, image, pool, and then run; or up, which does the first four.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    add_completion=False,
)


@app.command()
def secret(
    token: options.Token = "",
    email: options.Email = "",
    secret_name: options.SecretName = options.SECRET_NAME,
    region: options.Region = options.REGION,
    project: options.Project = options.PROJECT,
    dry_run: options.DryRun = False,
) -> None:
    """1. Store the git token and e-mail in AWS Secrets Manager."""
    with refusals():
        account = open_account(project, region)
        step = Secret(account, secret_name, git_secret(read_token(token), email))
        carry_out([step], console(), dry_run=dry_run)


@app.command()
def roles(
    secret_name: options.SecretName = options.SECRET_NAME,
    model_id: options.ModelIds = None,
    instructions_bucket: options.InstructionsBucket = "",
    instructions_prefix: options.InstructionsPrefix = "",
    region: options.Region = options.REGION,
    project: options.Project = options.PROJECT,
    dry_run: options.DryRun = False,
) -> None:
    """2. Make the three IAM roles: for ECS to start tasks, for runs, and for the Prefect worker."""
    with refusals():
        account = open_account(project, region)
        access = access_of(secret_name, model_id, instructions_bucket, instructions_prefix)
        carry_out([infrastructure.roles(account, access)], console(), dry_run=dry_run)


@app.command()
def image(
    tag: options.Tag = "",
    region: options.Region = options.REGION,
    project: options.Project = options.PROJECT,
    dry_run: options.DryRun = False,
) -> None:
    """3. Make the image's repository in ECR, build the image, and push it."""
    with refusals():
        account = open_account(project, region)
        pushed = Image(account, tag or commit_tag())
        carry_out([infrastructure.registry(account), pushed], console(), dry_run=dry_run)
        if not dry_run:
            console().print(pushed.pinned(), soft_wrap=True)


def access_of(secret_name: str, model_ids: list[str] | None, bucket: str, prefix: str) -> Access:
    """Return what runs may reach."""
    return Access(secret_name, tuple(model_ids or ()), bucket, prefix)
