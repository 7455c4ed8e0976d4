"""What `pool` and `up` do, step by step; each step is looked at only when those before it are done."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from prefect.client.orchestration import SyncPrefectClient

from deployments.aws import infrastructure
from deployments.aws.account import PREFECT_SECRET, Account
from deployments.aws.image import Image
from deployments.aws.infrastructure import Access
from deployments.aws.network import Network
from deployments.aws.secret import Secret
from deployments.cli import prefect_api
from deployments.cli.step import Step
from deployments.prefect.deployed import Deployments
from deployments.prefect.pool import ECS_POOL, LOCAL_POOL, Pool, ecs_template, local_template
from deployments.prefect.results import ResultsBlock

_VARIABLES: Final = {"key": "prefect_api_key_secret_arn", "auth string": "prefect_api_auth_string_secret_arn"}


@dataclass(frozen=True)
class Setup:
    """Everything that a person says about a set-up."""

    account: Account
    prefect: SyncPrefectClient
    network: Network
    image: Image
    access: Access = field(default_factory=Access)
    results_days: int = 0
    """How long the results bucket keeps a run's things; 0 leaves it as it is."""
    worker: bool = True
    dry_run: bool = False

    def up(self, git_secret: Secret) -> Iterator[Step]:
        """Everything, in order."""
        yield git_secret
        yield infrastructure.roles(self.account, self.access)
        yield infrastructure.registry(self.account)
        yield self.image
        yield from self.pool()

    def pool(self) -> Iterator[Step]:
        """The buckets and the cluster, the work pools and deployments, and the worker."""
        yield infrastructure.data(self.account, self.results_days)
        yield infrastructure.cluster(self.account)
        opens = prefect_api.credentials()
        secret = Secret(self.account, PREFECT_SECRET, (lambda _: opens[1].get_secret_value()) if opens else None)
        yield secret
        api_secret = (_VARIABLES[opens[0]], secret.arn() or "<its ARN, once made>") if opens else None
        yield ResultsBlock(self.account, self.prefect)
        yield Pool(self.prefect, ECS_POOL, "ecs", ecs_template(self.account, self.network, api_secret))
        yield Pool(self.prefect, LOCAL_POOL, "process", local_template())
        yield Deployments(self.prefect, self._image())
        if self.worker:
            url = prefect_api.api_url()
            yield infrastructure.worker(self.account, self.network, self._image(), url, api_secret)

    def _image(self) -> str:
        if self.dry_run and not self.image.digest():
            return f"{self.image.uri}@<its digest, once pushed>"
        return self.image.pinned()
