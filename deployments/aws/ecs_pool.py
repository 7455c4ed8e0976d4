"""Derives the defaults of the ECS work pool and the Prefect block of the results bucket from the AWS account."""

from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound

from deployments.aws.account import Account
from deployments.aws.network import Network
from deployments.prefect.pool import ECS_POOL
from deployments.prefect.results import ResultsBlock, block_slug


def pool_defaults(account: Account, network: Network, api_secret: tuple[str, str] | None) -> dict[str, Any]:
    """Return the default values of the ECS work pool's variables, by the names of the variables.

    Args:
        account: The account and region in which runs execute.
        network: The subnets and security groups that runs use.
        api_secret: The name of the pool's variable for the secret with the Prefect API's credentials, and the ARN of
            this secret. None if the API needs no credentials.
    """
    return {
        "cluster": account.project,
        "family": account.project,
        "execution_role_arn": account.role("execution"),
        "task_role_arn": account.role("task"),
        # Prefect adds the environment variables of a deployment and of a run to these.
        "env": {"PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": block_slug(account.project)},
        "match_latest_revision_in_family": True,  # otherwise each restart of the worker would register a new revision
        "configure_cloudwatch_logs": True,
        "cloudwatch_logs_prefix": "run",
        # CloudFormation creates the log group and sets its retention; the role must not create another group.
        "cloudwatch_logs_options": {"awslogs-group": account.project, "awslogs-create-group": "false"},
        **network.job_variables(),
        **dict([api_secret] if api_secret else []),
    }


def results_block(account: Account, prefect: SyncPrefectClient) -> ResultsBlock:
    """Return the Prefect block that names the account's results bucket."""
    return ResultsBlock(prefect, account.project, account.bucket("results"), account.region)


def current_network(prefect: SyncPrefectClient) -> Network | None:
    """Return the network of the ECS work pool on the server; None if the pool does not exist or has no network."""
    try:
        properties = prefect.read_work_pool(ECS_POOL).base_job_template["variables"]["properties"]
    except ObjectNotFound:
        return None
    vpc_id, network = (properties[name].get("default") for name in ("vpc_id", "network_configuration"))
    if not vpc_id or not network:
        return None
    public_ip = network["assignPublicIp"] == "ENABLED"
    return Network(vpc_id, tuple(network["subnets"]), tuple(network["securityGroups"]), public_ip)
