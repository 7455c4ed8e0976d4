"""A hostile operator, who may start runs but not read the secret: the token reaches only the server it is bound to."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest
from deployments.local.stack import GIT_EMAIL, GIT_TOKEN
from flows import errors
from flows.deliver import deliver
from tests.support.attack import SecondServer
from tests.support.runs import Run
from tests.support.world import World


@pytest.fixture
def bound_secret_id(world: World) -> str:
    """The name of a secret whose token may be used for this test's repository only."""
    host = world.stack.git.url.removeprefix("http://")
    secret = {"token": GIT_TOKEN, "email": GIT_EMAIL, "hosts": [host], "repositories": [world.repo_url]}
    world.stack.put_secret(json.dumps(secret), world.name)
    return world.name


ADDRESSES = {
    "another port": "{thief}/{name}.git",
    "the same host under another name": "http://localhost:{thief_port}/{name}.git",
    "the bound server under another name": "http://localhost:{port}/{name}.git",
    "another loopback address": "http://127.0.0.2:{thief_port}/{name}.git",
    "an IPv6 address that holds the bound one": "http://[::ffff:127.0.0.1]:{thief_port}/{name}.git",
    "the bound address in the path": "{thief}/127.0.0.1:{port}/{name}.git",
    "the bound address in the path, escaped": "{thief}/http%3A%2F%2F127.0.0.1%3A{port}/{name}.git",
    "the bound address as a user": "http://127.0.0.1:{port}@127.0.0.1:{thief_port}/{name}.git",
    "the bound address before a backslash": "http://127.0.0.1:{port}\\@127.0.0.1:{thief_port}/{name}.git",
    "a port with zeros": "http://127.0.0.1:000{thief_port}/{name}.git",
    "the default port": "http://127.0.0.1/{name}.git",
    "another scheme": "https://127.0.0.1:{thief_port}/{name}.git",
    "a repository beside the bound one": "http://127.0.0.1:{port}/{name}-2.git",
    "a way out of the bound one": "http://127.0.0.1:{port}/{name}.git/%2e%2e/{name}-2.git",
    "a Java server's way out of it": "http://127.0.0.1:{port}/{name}.git/..;/{name}-2.git",
    "a way out that was escaped twice": "http://127.0.0.1:{port}/%252e%252e%252f{name}-2.git",
}


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES.keys())
def test_no_address_takes_the_token_elsewhere(
    world: World, run: Callable[..., Run], bound_secret_id: str, second_server: SecondServer, address: str
) -> None:
    ports = {"port": world.stack.git.url.rpartition(":")[2], "thief_port": second_server.url.rpartition(":")[2]}
    refused_run = run(
        repo_url=address.format(thief=second_server.url, name=world.name, **ports),
        git_credentials_secret_id=bound_secret_id,
    )
    assert isinstance(refused_run.error, errors.RepositoryNotAllowed | errors.InvalidRepoUrl), refused_run.error
    assert second_server.requests == []
    assert world.stack.git.requests == []
    assert world.stack.model.requests == []
    assert world.branches() == {"main"}
    assert GIT_TOKEN not in refused_run.artifact() + str(refused_run.error)


class Lure(LoopbackServer):
    """The operator's own server, which redirects every request to another server."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        exchange.reply(307, b"", {"location": self.target + request.path})


def test_a_server_that_redirects_to_the_bound_one_gets_no_request(
    world: World, run: Callable[..., Run], bound_secret_id: str
) -> None:
    with Lure(world.stack.git.url) as lure:
        refused = run(repo_url=f"{lure.url}/{world.name}.git", git_credentials_secret_id=bound_secret_id)
        assert isinstance(refused.error, errors.RepositoryNotAllowed)
        assert lure.requests == []
    assert world.stack.git.requests == []


def test_a_saved_run_of_another_server_is_not_delivered_with_the_bound_token(
    world: World, run: Callable[..., Run], bound_secret_id: str
) -> None:
    world.shell("mkdir .circleci; echo x > .circleci/config.yml")
    other = world.stack.git.copy(f"{world.name}-2", str(world.stack.git.root / f"{world.name}.git"))
    stopped = run(repo_url=other)
    assert isinstance(stopped.error, errors.CiFilesChanged)
    world.stack.git.requests.clear()
    call: Callable[..., Any] = deliver
    state = call(
        flow_run_id=stopped.id,
        policy={"allow_ci_changes": True},
        git_credentials_secret_id=bound_secret_id,
        return_state=True,
    )
    assert isinstance(state.result(raise_on_failure=False), errors.RepositoryNotAllowed)
    assert world.stack.git.requests == []


def test_a_run_on_the_bound_repository_completes(world: World, run: Callable[..., Run], bound_secret_id: str) -> None:
    delivery = run(git_credentials_secret_id=bound_secret_id).delivered()
    assert world.git("rev-parse", delivery.branch) == delivery.commit
