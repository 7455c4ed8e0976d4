"""The steps of `image --from`: an image of the user's own in the registry, and a deployment that runs in it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound

from deployments.aws import infrastructure
from deployments.aws.account import Account
from deployments.aws.image import Image
from deployments.cli.errors import DeploymentMissing
from deployments.cli.step import Step
from deployments.prefect.deployed import OwnImageDeployment
from deployments.prefect.fargate import check_task_size
from deployments.prefect.job import merge_variables

_BASE: Final = "implement/ecs"


@dataclass(frozen=True)
class OwnImage:
    """An image of the user's own, and its deployment `implement/ecs-NAME`."""

    account: Account
    prefect: SyncPrefectClient
    name: str
    image: Image
    job_variables: Mapping[str, Any] = field(default_factory=dict)
    dry_run: bool = False

    def steps(self) -> Iterator[Step]:
        """Yield the steps: the registry, the image, and the deployment.

        Raises:
            DeploymentMissing: `implement/ecs`, on which the deployment is based, is not on the Prefect server.
            InvalidParameter: A job variable is unknown, or Fargate has no task of this size.
        """
        self._check()
        yield infrastructure.registry(self.account)
        yield self.image
        yield OwnImageDeployment(self.prefect, self._address(), self.name, self.job_variables)

    def _check(self) -> None:
        try:
            base = self.prefect.read_deployment_by_name(_BASE)
        except ObjectNotFound:
            raise DeploymentMissing(f"there is no deployment {_BASE}: run python -m deployments pool first") from None
        pool = self.prefect.read_work_pool(str(base.work_pool_name))
        check_task_size(merge_variables(pool, base, self.job_variables))

    def _address(self) -> str:
        if self.dry_run and not self.image.digest():
            return f"{self.image.uri}@<its digest, once pushed>"
        return self.image.pinned()
