"""The network between the flow and each of its servers: reset, silent or truncated. A run survives temporary faults."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from deployments.local.scripted_model import Tool, Turn
from tests.durability.scene import table_row
from tests.support.combinations import combinations
from tests.support.fault_proxy import Cut, FaultProxy, How
from tests.support.runs import Run
from tests.support.world import World

HOWS: tuple[How, ...] = ("reset", "stall", "truncate")
BUNDLE = "x" * 3000
Record = Callable[[str, object], None]


@dataclass
class Network:
    """The proxies in front of the servers."""

    git: FaultProxy
    s3: FaultProxy
    model: FaultProxy


@pytest.fixture
def network(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    # The flow gives up on a silent server after minutes; shorten that to seconds.
    monkeypatch.setattr("flows.repository.remote.SILENCE_SECONDS", 3)
    monkeypatch.setattr("flows.aws.session.READ_SECONDS", 3)
    stack = world.stack
    with ExitStack() as contexts:
        git, s3, model = (
            contexts.enter_context(FaultProxy(url)) for url in (stack.git.url, stack.aws_url, stack.model.url)
        )
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", model.url)
        yield Network(git, s3, model)


CUTS: dict[str, Callable[[Network, How], Cut]] = {
    "git, its branches": lambda net, how: net.git.cut(how, b"service=git-upload-pack", after_bytes=50),
    "git, its objects": lambda net, how: net.git.cut(how, b"command=fetch", after_bytes=200),
    "git, before the push": lambda net, how: net.git.cut(how, b"service=git-receive-pack", after_bytes=50),
    "git, the push on its way": lambda net, how: net.git.cut(
        how, b"/git-receive-pack HTTP", after_bytes=400, direction="request"
    ),
    "git, the push's answer": lambda net, how: net.git.cut(how, b"/git-receive-pack HTTP", after_bytes=20),
    "S3, its list": lambda net, how: net.s3.cut(how, b"list-type=2", after_bytes=100),
    "S3, an object": lambda net, how: net.s3.cut(how, b"/main.md", after_bytes=1000),
    "model, the request": lambda net, how: net.model.cut(how, b"invoke", after_bytes=2000, direction="request"),
    "model, the reply": lambda net, how: net.model.cut(how, b"invoke", after_bytes=400),
}


@pytest.mark.parametrize(("where", "how"), combinations(CUTS, HOWS))
def test_a_connection_that_is_cut_once_does_no_harm(
    world: World, network: Network, run: Callable[..., Run], where: str, how: How, record_property: Record
) -> None:
    world.script(
        Turn("I write.", (Tool("Bash", {"command": f"echo {BUNDLE} > long.txt"}),)),
        Turn("I write more.", (Tool("Bash", {"command": "head -c 2000 /dev/urandom > more.bin"}),)),
        Turn("Done."),
    )
    cut = CUTS[where](network, how)
    started = time.monotonic()
    finished_run = run(
        repo_url=world.repo_url.replace(world.stack.git.url, network.git.url),
        instructions_s3_uri=world.instructions({"main.md": b"# Write long.txt\n" * 500}) + "*",
        branch_name="the-branch",
        limits={"stall_timeout_seconds": 6},
    )
    seconds = time.monotonic() - started
    record_property("durability", table_row(fault=f"{where}: {how}", state=finished_run.state.name, seconds=seconds))
    assert cut.happened.is_set()
    delivery = finished_run.delivered()
    assert world.git("rev-list", "main..the-branch").splitlines() == [delivery.commit]
    assert world.content("the-branch", "long.txt") == BUNDLE
    assert finished_run.run_count("claude") <= 2
