"""The command-line options that several commands for AWS share."""

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from deployments.aws.account import DEFAULT_PROJECT
from flows.parameters.shared import DEFAULT_REGION, DEFAULT_SECRET_ID

REGION: Final = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
PROJECT: Final = DEFAULT_PROJECT
SECRET_NAME: Final = DEFAULT_SECRET_ID

Region = Annotated[str, typer.Option("--region", help="AWS region of all resources.")]
Project = Annotated[str, typer.Option("--project", help="Prefix of the names of all resources.")]
SecretName = Annotated[str, typer.Option("--secret-name", help="Name of the git secret in AWS Secrets Manager.")]
Token = Annotated[
    str,
    typer.Option(
        "--token",
        help="Git access token. '-' reads it from standard input; without the option, the command prompts for it. "
        "A token on the command line stays in the shell's history.",
    ),
]
Email = Annotated[str, typer.Option("--email", help="E-mail address of the commits' author.")]
AppId = Annotated[
    str, typer.Option("--app-id", help="App ID or client ID of a GitHub App, which is used instead of a token.")
]
PrivateKey = Annotated[
    Path | None,
    typer.Option("--private-key", help="The .pem file with the private key of the GitHub App."),
]
InstallationId = Annotated[
    str,
    typer.Option("--installation-id", help="Number of the App's installation. Without it, each run asks GitHub."),
]
Hosts = Annotated[
    list[str] | None,
    typer.Option(
        "--host",
        help="Host that the token may be sent to, such as github.com. May be repeated. The hosts replace the stored "
        "ones; without the option, the stored hosts stay.",
    ),
]
Repositories = Annotated[
    list[str] | None,
    typer.Option(
        "--repository",
        help="Repositories that the token may be used for, such as 'https://github.com/your-org/*'. May be repeated. "
        "The repositories replace the stored ones; without the option, the stored repositories stay.",
    ),
]
ApiUrls = Annotated[
    list[str] | None,
    typer.Option(
        "--forge-api-url",
        help="Address of a forge's API on another server than the repositories, to which the token may go. May be "
        "repeated. The addresses replace the stored ones; without the option, the stored addresses stay.",
    ),
]
Subnets = Annotated[list[str] | None, typer.Option("--subnet", help="Private subnet for runs. May be repeated.")]
SecurityGroups = Annotated[
    list[str] | None,
    typer.Option("--security-group", help="Security group for runs. It needs no inbound rule. May be repeated."),
]
PublicIp = Annotated[
    bool,
    typer.Option("--assign-public-ip", help="Give tasks a public IP address, which they need in subnets without NAT."),
]
ModelIds = Annotated[
    list[str] | None,
    typer.Option("--model-id", help="Bedrock model or inference profile that runs may call. May be repeated."),
]
InstructionsBucket = Annotated[
    str,
    typer.Option("--instructions-bucket", help="Your own bucket of instructions, instead of the project's bucket."),
]
InstructionsPrefix = Annotated[
    str,
    typer.Option(
        "--instructions-prefix",
        help="Folder of the instructions bucket, with a slash at the end. Runs may read nothing outside this folder.",
    ),
]
Tag = Annotated[str, typer.Option("--tag", help="Tag of the image. The default is the id of the current commit.")]
Slim = Annotated[
    bool,
    typer.Option("--slim", help="Use the image without tools for the agent's work. Its default tag ends in -slim."),
]
JobVariables = Annotated[
    list[str] | None,
    typer.Option(
        "--job-variable",
        help="Job variable, as NAME=VALUE: cpu=4096, memory=16384 or ephemeral_storage=100. May be repeated.",
    ),
]
NoWorker = Annotated[
    bool,
    typer.Option("--no-worker", help="Do not create the Prefect worker's service. You run the worker elsewhere."),
]
ResultsDays = Annotated[
    int,
    typer.Option(
        "--results-days",
        min=0,
        help="Days after which the results bucket deletes saved state; 90 in a new bucket. Without the option, the "
        "number of days does not change.",
    ),
]
