"""The options of the commands for AWS, each described once."""

import os
from typing import Annotated, Final

import typer

from deployments.aws.account import DEFAULT_PROJECT
from flows.parameters.shared import DEFAULT_REGION, DEFAULT_SECRET_ID

REGION: Final = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
PROJECT: Final = DEFAULT_PROJECT
SECRET_NAME: Final = DEFAULT_SECRET_ID

Region = Annotated[str, typer.Option("--region", help="The AWS region.")]
Project = Annotated[str, typer.Option("--project", help="The prefix of all names in the account.")]
SecretName = Annotated[str, typer.Option("--secret-name", help="The git secret's name in AWS Secrets Manager.")]
Token = Annotated[
    str,
    typer.Option(
        "--token",
        help="The git access token. '-' reads it from standard input; without the option, a prompt asks for it. "
        "On the command line it stays in the shell's history.",
    ),
]
Email = Annotated[str, typer.Option("--email", help="The author's e-mail address of the commits.")]
Hosts = Annotated[
    list[str] | None,
    typer.Option(
        "--host",
        help="A host that the token may be sent to, such as github.com. May be repeated; the hosts replace those that "
        "are stored. Without it, they stay.",
    ),
]
Repositories = Annotated[
    list[str] | None,
    typer.Option(
        "--repository",
        help="Repositories that the token is for, such as 'https://github.com/your-org/*'. May be repeated; they "
        "replace those that are stored. Without it, they stay.",
    ),
]
Subnets = Annotated[list[str] | None, typer.Option("--subnet", help="A private subnet for runs. May be repeated.")]
SecurityGroups = Annotated[
    list[str] | None,
    typer.Option("--security-group", help="A security group for runs; it needs no inbound rule. May be repeated."),
]
PublicIp = Annotated[
    bool, typer.Option("--assign-public-ip", help="Give tasks a public address: for subnets without NAT.")
]
ModelIds = Annotated[
    list[str] | None,
    typer.Option("--model-id", help="A Bedrock model or inference profile that runs may call. May be repeated."),
]
InstructionsBucket = Annotated[
    str,
    typer.Option(
        "--instructions-bucket", help="Your own bucket of instructions, instead of the bucket of this project."
    ),
]
InstructionsPrefix = Annotated[
    str,
    typer.Option("--instructions-prefix", help="The only folder in it that runs may read, with a slash at the end."),
]
Tag = Annotated[str, typer.Option("--tag", help="The image's tag; the commit id by default.")]
NoWorker = Annotated[
    bool, typer.Option("--no-worker", help="Do not make the worker service: you run the worker elsewhere.")
]
ResultsDays = Annotated[
    int,
    typer.Option(
        "--results-days",
        min=0,
        help="After how many days the results bucket deletes saved state: 90 at first. Without it, no change.",
    ),
]
