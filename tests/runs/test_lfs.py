"""Whole runs on a repository with Git LFS: with the parameter, without it, and a delivery after a failed upload."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deployments.local.lfs_storage import LfsStorage
from deployments.local.loopback import Exchange, ReceivedRequest
from deployments.local.stack import GIT_TOKEN
from flows import errors
from flows.deliver import deliver
from flows.outcome.result import RunResult
from flows.tasks.clone import clone
from tests.support.lfs_repository import ATTRIBUTES, CONTENT, pointer_to
from tests.support.runs import Run
from tests.support.world import World


@pytest.fixture
def world(make_world: Callable[[dict[str, str]], World]) -> World:
    return make_world({".gitattributes": ATTRIBUTES, "a.bin": pointer_to(CONTENT), "README.md": "# A repository\n"})


@pytest.fixture
def storage(world: World) -> Iterator[LfsStorage]:
    with LfsStorage() as storage:
        world.stack.git.lfs = storage
        storage.add(world.name, CONTENT)
        yield storage
        world.stack.git.lfs = None


def stored(storage: LfsStorage, world: World, content: bytes) -> bool:
    return storage.objects.get((world.name, hashlib.sha256(content).hexdigest())) == content


def token_seen(storage: LfsStorage) -> bool:
    return any("authorization" in r.headers or GIT_TOKEN in f"{r.path}{r.headers}" for r in storage.requests)


def test_the_agent_works_with_content_and_the_branch_has_pointers(
    world: World, run: Callable[..., Run], storage: LfsStorage, caplog: pytest.LogCaptureFixture
) -> None:
    world.shell("cksum a.bin > sum.txt; cat a.bin a.bin > double.bin; printf changed > a.bin")
    delivery = run(lfs=True).delivered()
    assert set(delivery.files) == {"a.bin", "double.bin", "sum.txt"}
    assert world.content(delivery.branch, "sum.txt").split()[1] == str(len(CONTENT))
    assert world.content(delivery.branch, "a.bin") == pointer_to(b"changed").strip()
    assert world.content(delivery.branch, "double.bin") == pointer_to(CONTENT * 2).strip()
    assert stored(storage, world, b"changed")
    assert stored(storage, world, CONTENT * 2)
    assert not token_seen(storage)
    assert "files stored with Git LFS: 1, with 0.0 MB; their content is fetched" in caplog.text
    assert "objects uploaded to Git LFS: 2" in caplog.text


def test_without_the_parameter_the_log_names_it(
    world: World, run: Callable[..., Run], storage: LfsStorage, caplog: pytest.LogCaptureFixture
) -> None:
    world.shell("cp a.bin copy.txt")
    delivery = run().delivered()
    assert world.content(delivery.branch, "copy.txt") == pointer_to(CONTENT).strip()
    assert (
        "files stored with Git LFS: 1, with 0.0 MB; they stay pointers; set lfs to fetch their content" in caplog.text
    )
    assert storage.batches == []


def test_a_failed_upload_saves_the_work_and_a_delivery_uploads_it(
    world: World, run: Callable[..., Run], storage: LfsStorage
) -> None:
    def refuse(request: ReceivedRequest, exchange: Exchange) -> bool:
        if request.method == "PUT":
            exchange.reply(413, b'{"message": "the quota is used up"}')
        return request.method == "PUT"

    storage.respond = refuse
    world.shell("printf changed > a.bin")
    failed = run(lfs=True, branch_name="with-lfs")
    assert type(failed.error) is errors.LfsFailed
    assert "at the upload of 'a.bin': status 413: the quota is used up" in str(failed.error)
    assert "the flow deliver pushes it later" in str(failed.error)
    assert world.branches() == {"main"}
    storage.respond = lambda *_: False
    call: Callable[..., Any] = deliver
    result = call(flow_run_id=failed.id, return_state=True).result()
    assert isinstance(result, RunResult)
    assert world.git("rev-parse", "with-lfs") == result.commit
    assert world.content("with-lfs", "a.bin") == pointer_to(b"changed").strip()
    assert stored(storage, world, b"changed")
    assert not token_seen(storage)


def test_a_busy_server_is_asked_again_before_an_agent_starts(
    run: Callable[..., Run], storage: LfsStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clone, "retry_delay_seconds", [0, 0, 0])
    answers = [429, 503]

    def be_busy(_: ReceivedRequest, exchange: Exchange) -> bool:
        if answers:
            exchange.reply(answers.pop(0), b"{}", {"retry-after": "1"})
            return True
        return False

    storage.respond = be_busy
    flow_run = run(lfs=True)
    assert list(flow_run.delivered().files) == ["hello.txt"]
    assert flow_run.run_count("clone") == 3
