"""The network of runs and of the worker: subnets and security groups of one VPC."""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from deployments.aws.account import Account
from deployments.cli.errors import UnknownNetwork
from flows.aws.session import client_config


@dataclass(frozen=True)
class Network:
    """A VPC, and its subnets and security groups that ECS tasks use."""

    vpc_id: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    assign_public_ip: bool = False

    @property
    def public_ip(self) -> str:
        """The value of the ECS setting `assignPublicIp`: "ENABLED" or "DISABLED"."""
        return "ENABLED" if self.assign_public_ip else "DISABLED"

    def job_variables(self) -> dict[str, Any]:
        """Return the values of the ECS work pool's variables that place runs in this network."""
        configuration = {
            "subnets": list(self.subnets),
            "securityGroups": list(self.security_groups),
            "assignPublicIp": self.public_ip,
        }
        return {"vpc_id": self.vpc_id, "network_configuration": configuration}


def find_network(account: Account, subnets: list[str], security_groups: list[str], *, public_ip: bool) -> Network:
    """Look up the VPC of the subnets and security groups; return all of them as a network.

    Raises:
        UnknownNetwork: Subnets or security groups are not set, do not exist, or are not all in the same VPC.
    """
    if not subnets or not security_groups:
        raise UnknownNetwork("the network for runs is not set: use --subnet and --security-group")
    ec2 = account.session.client("ec2", config=client_config())
    try:
        vpc_ids = [s["VpcId"] for s in ec2.describe_subnets(SubnetIds=subnets)["Subnets"]]
        vpc_ids += [g["VpcId"] for g in ec2.describe_security_groups(GroupIds=security_groups)["SecurityGroups"]]
    except ClientError as error:
        if "NotFound" not in error.response["Error"]["Code"] and "Malformed" not in error.response["Error"]["Code"]:
            raise
        message = error.response["Error"]["Message"]
        raise UnknownNetwork(f"{message} in {account.region}: check --subnet and --security-group") from None
    if len(vpcs := sorted(set(vpc_ids))) != 1:
        raise UnknownNetwork(
            f"the subnets and security groups are in {len(vpcs)} VPCs, {', '.join(vpcs)}: use those of one VPC"
        )
    return Network(vpcs[0], tuple(subnets), tuple(security_groups), public_ip)
