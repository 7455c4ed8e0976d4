"""The steps of the commands `pool` and `up`, in order. A step is planned after the previous ones have been applied."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from prefect.client.orchestration import SyncPrefectClient

from deployments.aws import infrastructure
from deployments.aws.account import PREFECT_SECRET, Account
from deployments.aws.ecs_pool import pool_defaults, results_block
from deployments.aws.image import Image
from deployments.aws.infrastructure import Access
from deployments.aws.network import Network
from deployments.aws.secret import Secret
from deployments.cli import prefect_api
from deployments.cli.step import Step
from deployments.prefect.deployed import Deployments
from deployments.prefect.pool import ECS_POOL, LOCAL_POOL, Pool, ecs_template, local_template

_VARIABLES: Final = {"key": "prefect_api_key_secret_arn", "auth string": "prefect_api_auth_string_secret_arn"}


@dataclass(frozen=True)
class Setup:
    """The options of the command `pool` or `up`, and the steps that carry the command out."""

    account: Account
    prefect: SyncPrefectClient
    network: Network
    image: Image
    access: Access = field(default_factory=Access)
    results_days: int = 0
    """Days after which the results bucket deletes saved state; 0 keeps the current number of days."""
    worker: bool = True
    dry_run: bool = False

    def up(self, git_secret: Secret) -> Iterator[Step]:
        """Yield all steps of the command `up`, in order; the steps of `pool` are the last ones."""
        yield git_secret
        yield infrastructure.roles(self.account, self.access)
        yield infrastructure.registry(self.account)
        yield self.image
        yield from self.pool()

    def pool(self) -> Iterator[Step]:
        """Yield the steps of `pool`: the buckets, the cluster, the work pools, the deployments and the worker."""
        yield infrastructure.data(self.account, self.results_days)
        yield infrastructure.cluster(self.account)
        credentials = prefect_api.credentials()
        value = (lambda _: credentials[1].get_secret_value()) if credentials else None
        secret = Secret(self.account, PREFECT_SECRET, value)
        yield secret
        arn = secret.arn() or "<its ARN, once created>"
        api_secret = (_VARIABLES[credentials[0]], arn) if credentials else None
        yield results_block(self.account, self.prefect)
        yield Pool(self.prefect, ECS_POOL, "ecs", ecs_template(pool_defaults(self.account, self.network, api_secret)))
        yield Pool(self.prefect, LOCAL_POOL, "process", local_template())
        yield Deployments(self.prefect, self._image())
        if self.worker:
            url = prefect_api.api_url()
            yield infrastructure.worker(self.account, self.network, self._image(), url, api_secret)

    def _image(self) -> str:
        if self.dry_run and not self.image.digest():
            return f"{self.image.uri}@<its digest, once pushed>"
        return self.image.pinned()
