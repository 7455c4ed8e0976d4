"""Defines the CloudFormation stacks of the set-up and the parameters of each stack."""

from dataclasses import dataclass

from deployments.aws.account import PREFECT_SECRET, Account
from deployments.aws.bedrock import model_parameters
from deployments.aws.network import Network
from deployments.aws.stack import Stack
from deployments.prefect.pool import ECS_POOL
from flows.parameters.provider import default_model_id
from flows.parameters.shared import DEFAULT_SECRET_ID


@dataclass(frozen=True)
class Access:
    """The git secret, the Bedrock models and the instructions in S3 that the IAM role of runs may use."""

    git_secret: str = DEFAULT_SECRET_ID
    model_ids: tuple[str, ...] = ()
    """Ids of the Bedrock models that runs may call. If there are none, runs may call only their default model."""
    instructions_bucket: str = ""
    instructions_prefix: str = ""


def data(account: Account, results_days: int = 0) -> Stack:
    """Return the stack of the S3 buckets.

    Saved state is deleted after `results_days` days; 0 keeps the number of days that is set now.
    """
    days = {"ResultsDays": str(results_days)} if results_days else {}
    return Stack(account, "data", {"ProjectName": account.project, **days})


def registry(account: Account) -> Stack:
    """Return the stack of the ECR repository for the image."""
    return Stack(account, "registry", {"ProjectName": account.project})


def cluster(account: Account) -> Stack:
    """Return the stack of the ECS cluster, the cluster's log group, and the worker's SQS queue."""
    return Stack(account, "cluster", {"ProjectName": account.project, "QueueName": account.queue})


def roles(account: Account, access: Access) -> Stack:
    """Return the stack of the three IAM roles. The resources that the roles may use need not exist yet."""
    parameters = {
        "ProjectName": account.project,
        "GitSecretName": access.git_secret,
        "PrefectSecretName": PREFECT_SECRET,
        "InstructionsBucket": access.instructions_bucket or account.bucket("instructions"),
        "InstructionsPrefix": access.instructions_prefix,
        "ResultsBucket": account.bucket("results"),
        "QueueName": account.queue,
    }
    models = access.model_ids or (default_model_id("bedrock", account.region),)
    return Stack(account, "roles", parameters | model_parameters(account, models))


def worker(account: Account, network: Network, image: str, api_url: str, api_secret: tuple[str, str] | None) -> Stack:
    """Return the stack of the ECS service that runs the Prefect worker."""
    variable, arn = api_secret or ("", "")
    parameters = {
        "ProjectName": account.project,
        "Image": image,
        "Subnets": ",".join(network.subnets),
        "SecurityGroups": ",".join(network.security_groups),
        "AssignPublicIp": network.public_ip,
        "WorkPool": ECS_POOL,
        "PrefectApiUrl": api_url,
        "PrefectApiKeySecretArn": arn if variable == "prefect_api_key_secret_arn" else "",
        "PrefectAuthStringSecretArn": arn if variable == "prefect_api_auth_string_secret_arn" else "",
        "QueueName": account.queue,
    }
    return Stack(account, "worker", parameters)
