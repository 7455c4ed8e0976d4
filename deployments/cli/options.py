"""The commands' options, each described once; named as those of the container that this project replaces."""

import os
from typing import Annotated, Final

import typer

from deployments.aws.account import DEFAULT_PROJECT
from flows.parameters.shared import DEFAULT_REGION, DEFAULT_SECRET_ID

REGION: Final = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
PROJECT: Final = DEFAULT_PROJECT
SECRET_NAME: Final = DEFAULT_SECRET_ID

Region = Annotated[str, typer.Option("--region", help="The AWS region.")]
Project = Annotated[str, typer.Option("--project", help="Begins the name of everything that is made.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")]
SecretName = Annotated[str, typer.Option("--secret-name", help="The git secret's name in AWS Secrets Manager.")]
Token = Annotated[
    str,
    typer.Option(
        "--token",
        help="The git access token. '-' reads it from standard input; left out, it is asked for. "
        "Written here it stays in the shell's history.",
    ),
]
Email = Annotated[str, typer.Option("--email", help="The author's e-mail address of the commits.")]
Subnets = Annotated[
    list[str] | None, typer.Option("--subnet", help="A private subnet for runs. May be given more than once.")
]
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
    str, typer.Option("--instructions-bucket", help="A bucket of yours to read instructions from, in place of ours.")
]
InstructionsPrefix = Annotated[
    str, typer.Option("--instructions-prefix", help="The only folder in it that runs may read, with its slash.")
]
Tag = Annotated[str, typer.Option("--tag", help="The image's tag; the commit's id by default.")]
NoWorker = Annotated[bool, typer.Option("--no-worker", help="Make no worker service: you run the worker elsewhere.")]
ResultsDays = Annotated[
    int,
    typer.Option(
        "--results-days",
        min=0,
        help="How long the results bucket keeps what a run left: 90 at first; left out, as it is.",
    ),
]
