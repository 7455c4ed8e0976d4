"""Opens a stand-in for a test, and checks at its end that every request kept the contract."""

from collections.abc import Iterator
from contextlib import contextmanager

from flows.forges.api.base import ForgeApi
from tests.support.forges.stand_in import TOKEN, ForgeStandIn
from tests.support.forges.stand_ins import open_stand_in


@contextmanager
def serve(kind: type[ForgeStandIn], token: str = TOKEN) -> Iterator[tuple[ForgeStandIn, ForgeApi]]:
    """Serve a stand-in, and open its client."""
    with kind(token) as forge, open_stand_in(forge) as api:
        yield forge, api
        forge.check_contract()
