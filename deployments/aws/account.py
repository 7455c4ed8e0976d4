"""The AWS account and region that a command works in, and the names of the project's resources there."""

import os
from dataclasses import dataclass
from typing import Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from deployments.cli.errors import NoAwsCredentials
from flows.aws.credentials import new_session
from flows.aws.errors import credentials_advice
from flows.aws.session import client_config
from flows.credential_values import strip_environment
from flows.errors import RunError

DEFAULT_PROJECT: Final = "claude-code-headless"
DEFAULT_QUEUE: Final = "prefect-ecs-tasks-events"
PREFECT_SECRET: Final = "claude-headless/prefect-api"  # noqa: S105 (the name of a secret, not a secret)


@dataclass(frozen=True)
class Account:
    """An AWS account and region with valid credentials, and the names of the project's resources in the account."""

    session: boto3.Session
    project: str
    partition: str
    account_id: str
    region: str

    def stack(self, kind: str) -> str:
        """Return the name of the CloudFormation stack whose template is deployments/cloudformation/<kind>.yaml."""
        return f"{self.project}-{kind}"

    def bucket(self, kind: str) -> str:
        """Return the name of a bucket; `kind` is `instructions` or `results`."""
        return f"{self.project}-{kind}-{self.account_id}-{self.region}"

    def role(self, kind: str) -> str:
        """Return the ARN of a role; `kind` is `execution`, `task` or `worker`."""
        return f"arn:{self.partition}:iam::{self.account_id}:role/{self.project}-{kind}"

    @property
    def queue(self) -> str:
        """Name of the worker's SQS queue. It is prefect-aws's default, unless the user changed the project's name."""
        return DEFAULT_QUEUE if self.project == DEFAULT_PROJECT else f"{self.project}-tasks-events"

    @property
    def registry(self) -> str:
        """Host name of the account's image registry (ECR)."""
        suffix = ".cn" if self.partition == "aws-cn" else ""
        return f"{self.account_id}.dkr.ecr.{self.region}.amazonaws.com{suffix}"

    @property
    def repository_uri(self) -> str:
        """URI of the project's image repository in the registry."""
        return f"{self.registry}/{self.project}"


def open_account(project: str, region: str) -> Account:
    """Return the account to which the AWS credentials belong.

    Raises:
        NoAwsCredentials: No credentials are set, or AWS rejects them.
    """
    strip_environment(os.environ)
    try:
        session = new_session(region)
        identity = session.client("sts", config=client_config()).get_caller_identity()
    except NoCredentialsError:
        raise NoAwsCredentials(
            "there are no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. If you "
            "have no AWS account, see 'Without AWS' in docs/guide.md"
        ) from None
    except RunError as error:
        raise NoAwsCredentials(str(error)) from None
    except (BotoCoreError, ClientError) as error:
        raise NoAwsCredentials(f"AWS rejected the credentials: {error}: {credentials_advice(error)}") from None
    return Account(session, project, identity["Arn"].split(":")[1], identity["Account"], region)
