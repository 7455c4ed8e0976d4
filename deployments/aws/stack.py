"""A CloudFormation stack: created or updated if it differs from the template and the parameters, and deleted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError, WaiterError

from deployments.aws import template
from deployments.aws.account import Account
from deployments.cli.errors import StackBusy, StackFailed, StackMissing
from deployments.cli.step import Change
from flows.aws.session import client_config

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef, StackTypeDef

_SETTLED: Final = frozenset(
    {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"}
)
_WAIT: Final = {"Delay": 5, "MaxAttempts": 360}


@dataclass(frozen=True)
class Stack:
    """The stack of deployments/cloudformation/<kind>.yaml."""

    account: Account
    kind: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The stack's name."""
        return self.account.stack(self.kind)

    @cached_property
    def _client(self) -> "CloudFormationClient":
        return self.account.session.client("cloudformation", config=client_config())

    def describe(self) -> "StackTypeDef | None":
        """Return CloudFormation's description of the stack; None if it does not exist."""
        try:
            return self._client.describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise

    def require(self, command: str) -> None:
        """Raise `StackMissing` if the stack does not exist; `command` makes it."""
        if self.describe() is None:
            where = f"stack {self.name} is missing in {self.account.region}"
            raise StackMissing(f"{where}: python -m deployments {command}")

    def plan(self) -> list[Change]:
        """Compare the template and the parameters with what is deployed."""
        stack = self.describe()
        if stack is None:
            return [Change("create", f"stack {self.name}", template.resources(template.text(self.kind)))]
        if stack["StackStatus"] not in _SETTLED:
            raise StackBusy(
                f"stack {self.name} is {stack['StackStatus']}: wait for it, or delete it, and repeat the command"
            )
        deployed = str(self._client.get_template(StackName=self.name)["TemplateBody"])
        details = (*template.differences(deployed, template.text(self.kind)), *self._changed_parameters(stack))
        return [Change("update", f"stack {self.name}", details)] if details else []

    def _changed_parameters(self, stack: "StackTypeDef") -> list[str]:
        deployed = {p["ParameterKey"]: p["ParameterValue"] for p in stack.get("Parameters", [])}
        return [
            f"~ {name}: {deployed.get(name) or 'empty'} → {value or 'empty'}"
            for name, value in self.parameters.items()
            if deployed.get(name) != value
        ]

    def apply(self) -> None:
        """Create or update the stack, and wait until CloudFormation is done."""
        stack, body = self.describe(), template.text(self.kind)
        parameters = self._parameters(stack)
        tags = [{"Key": "project", "Value": self.account.project}]
        if stack is None:
            created = self._client.create_stack(
                StackName=self.name,
                TemplateBody=body,
                Parameters=parameters,
                Capabilities=["CAPABILITY_NAMED_IAM"],
                OnFailure="DELETE",  # so that the next attempt finds nothing in its way
                Tags=tags,  # type: ignore[arg-type]
            )
            self._wait("stack_create_complete", created["StackId"])
        else:
            self._client.update_stack(
                StackName=self.name, TemplateBody=body, Parameters=parameters, Capabilities=["CAPABILITY_NAMED_IAM"]
            )
            self._wait("stack_update_complete", stack["StackId"])

    def _parameters(self, stack: "StackTypeDef | None") -> "list[ParameterTypeDef]":
        """Return our parameters, and keep the current values of the template's other parameters."""
        parameters: list[ParameterTypeDef] = [
            {"ParameterKey": name, "ParameterValue": value} for name, value in self.parameters.items()
        ]
        known = template.parse(template.text(self.kind))["Parameters"]
        unchanged = {
            p["ParameterKey"] for p in (stack.get("Parameters", []) if stack else [])
        } & known.keys() - self.parameters.keys()
        return parameters + [{"ParameterKey": name, "UsePreviousValue": True} for name in sorted(unchanged)]

    def remove(self) -> None:
        """Delete the stack, and wait until it no longer exists."""
        if stack := self.describe():
            self._client.delete_stack(StackName=self.name)
            self._wait("stack_delete_complete", stack["StackId"])

    def _wait(self, state: str, stack_id: str) -> None:
        try:
            self._client.get_waiter(state).wait(StackName=stack_id, WaiterConfig=_WAIT)  # type: ignore[call-overload]
        except WaiterError:
            raise StackFailed(f"stack {self.name}: {self._reason(stack_id)}") from None

    def _reason(self, stack_id: str) -> str:
        events = self._client.describe_stack_events(StackName=stack_id)["StackEvents"]
        failed = [e for e in events if e.get("ResourceStatus", "").endswith("_FAILED")]
        if not failed:
            return "CloudFormation did not finish: see its events"
        first = failed[-1]  # events come newest first, and what failed first is the cause
        return f"{first.get('LogicalResourceId')}: {first.get('ResourceStatusReason', first.get('ResourceStatus'))}"
