"""The CloudFormation stacks of the set-up, each with its parameters."""

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
    """The secret, models and instructions that the role of runs may use."""

    git_secret: str = DEFAULT_SECRET_ID
    model_ids: tuple[str, ...] = ()
    """Ids of the Bedrock models that runs may call; empty for the default model of runs."""
    instructions_bucket: str = ""
    instructions_prefix: str = ""


def data(account: Account, results_days: int = 0) -> Stack:
    """Return the stack of the buckets. If `results_days` is 0, the retention of saved state does not change."""
    days = {"ResultsDays": str(results_days)} if results_days else {}
    return Stack(account, "data", {"ProjectName": account.project, **days})


def registry(account: Account) -> Stack:
    """Return the stack of the image's repository."""
    return Stack(account, "registry", {"ProjectName": account.project})


def cluster(account: Account) -> Stack:
    """Return the stack of the cluster, its log group, and the worker's queue."""
    return Stack(account, "cluster", {"ProjectName": account.project, "QueueName": account.queue})


def roles(account: Account, access: Access) -> Stack:
    """Return the stack of the three roles. The resources that the roles name need not exist yet."""
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
    """Return the stack of the Prefect worker's service."""
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
