"""Creates a CloudFormation stack, updates it if its template or its parameters have changed, and deletes it."""

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
    """The CloudFormation stack whose template is deployments/cloudformation/<kind>.yaml."""

    account: Account
    kind: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The stack's name in CloudFormation."""
        return self.account.stack(self.kind)

    @cached_property
    def _client(self) -> "CloudFormationClient":
        return self.account.session.client("cloudformation", config=client_config())

    def describe(self) -> "StackTypeDef | None":
        """Return CloudFormation's description of the stack; None if the stack does not exist."""
        try:
            return self._client.describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise

    def require(self, command: str) -> None:
        """Raise `StackMissing` if the stack does not exist. The message says that `command` creates the stack."""
        if self.describe() is None:
            reason = f"stack {self.name} is missing in {self.account.region}"
            raise StackMissing(f"{reason}: run python -m deployments {command}")

    def plan(self) -> list[Change]:
        """Return the planned creation or update; an empty list if the stack is up to date.

        An update is planned if the template or a parameter differs from the deployed one.
        """
        stack = self.describe()
        if stack is None:
            return [Change("create", f"stack {self.name}", template.resources(template.text(self.kind)))]
        if stack["StackStatus"] not in _SETTLED:
            raise StackBusy(
                f"stack {self.name} is {stack['StackStatus']}: wait for it, or delete it, and repeat the command"
            )
        deployed = str(self._client.get_template(StackName=self.name)["TemplateBody"])
        values = {p["ParameterKey"]: p["ParameterValue"] for p in stack.get("Parameters", [])}
        changed_parameters = [
            f"~ {name}: {values.get(name) or 'empty'} → {value or 'empty'}"
            for name, value in self.parameters.items()
            if values.get(name) != value
        ]
        details = (*template.differences(deployed, template.text(self.kind)), *changed_parameters)
        return [Change("update", f"stack {self.name}", details)] if details else []

    def apply(self) -> None:
        """Create or update the stack, and wait until CloudFormation has finished."""
        stack, body = self.describe(), template.text(self.kind)
        parameters = self._parameters(stack)
        tags = [{"Key": "project", "Value": self.account.project}]
        if stack is None:
            created = self._client.create_stack(
                StackName=self.name,
                TemplateBody=body,
                Parameters=parameters,
                Capabilities=["CAPABILITY_NAMED_IAM"],
                OnFailure="DELETE",  # so that no failed stack blocks the next attempt
                Tags=tags,  # type: ignore[arg-type]
            )
            self._wait("stack_create_complete", created["StackId"])
        else:
            self._client.update_stack(
                StackName=self.name, TemplateBody=body, Parameters=parameters, Capabilities=["CAPABILITY_NAMED_IAM"]
            )
            self._wait("stack_update_complete", stack["StackId"])

    def _parameters(self, stack: "StackTypeDef | None") -> "list[ParameterTypeDef]":
        """Return the parameters for CloudFormation. Those that this object does not set keep their deployed values."""
        parameters: list[ParameterTypeDef] = [
            {"ParameterKey": name, "ParameterValue": value} for name, value in self.parameters.items()
        ]
        template_parameters = template.parse(template.text(self.kind))["Parameters"]
        unchanged = {
            p["ParameterKey"] for p in (stack.get("Parameters", []) if stack else [])
        } & template_parameters.keys() - self.parameters.keys()
        return parameters + [{"ParameterKey": name, "UsePreviousValue": True} for name in sorted(unchanged)]

    def remove(self) -> None:
        """Delete the stack if it exists, and wait until it is deleted."""
        if stack := self.describe():
            self._client.delete_stack(StackName=self.name)
            self._wait("stack_delete_complete", stack["StackId"])

    def _wait(self, state: str, stack_id: str) -> None:
        try:
            self._client.get_waiter(state).wait(StackName=stack_id, WaiterConfig=_WAIT)  # type: ignore[call-overload]
        except WaiterError:
            events = self._client.describe_stack_events(StackName=stack_id)["StackEvents"]
            failures = [e for e in events if e.get("ResourceStatus", "").endswith("_FAILED")]
            if not failures:
                raise StackFailed(
                    f"stack {self.name}: CloudFormation did not finish in time: see the stack's events"
                ) from None
            first = failures[-1]  # events are listed newest first, and the earliest failure is the cause
            reason = first.get("ResourceStatusReason", first.get("ResourceStatus"))
            raise StackFailed(f"stack {self.name}: {first.get('LogicalResourceId')}: {reason}") from None
