"""The run store on S3: a real S3Bucket block, and moto behind it."""

import asyncio
import json
import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.local.scripted_model import Tool, Turn
from flows import errors
from flows.state.saved_run import SavedRun
from flows.state.store import RunStore
from tests.support.runs import Run
from tests.support.world import World

KEPT = {
    "request.json", "instructions-0", "plan", "checkpoint-0", "change", "change.bundle", "transcript.jsonl.gz",
    "usage.json", "report.md",
}  # fmt: skip


@pytest.fixture
def bucket(world: World) -> Iterator[str]:
    """A bucket, and Prefect's result storage in it."""
    from prefect.settings import PREFECT_DEFAULT_RESULT_STORAGE_BLOCK, temporary_settings  # noqa: PLC0415
    from prefect_aws import S3Bucket  # noqa: PLC0415

    name = f"results-{uuid.uuid4().hex[:8]}"
    world.stack.s3().create_bucket(Bucket=name)
    S3Bucket(bucket_name=name).save(name)
    with temporary_settings({PREFECT_DEFAULT_RESULT_STORAGE_BLOCK: f"s3-bucket/{name}"}):
        yield name


@pytest.fixture
def store(bucket: str) -> RunStore:
    from prefect_aws import S3Bucket  # noqa: PLC0415

    return RunStore(S3Bucket(bucket_name=bucket), "the-run", ())


def kept(world: World, bucket: str, run: Run) -> dict[str, bytes]:
    """Return what the bucket has of a run."""
    prefix, s3 = f"claude-code-headless/{run.id}/", world.stack.s3()
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]
    return {key.removeprefix(prefix): s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def test_everything_of_a_run_is_kept_there_and_nothing_here(world: World, bucket: str, run: Callable[..., Run]) -> None:
    slow = Turn("I write.", (Tool("Bash", {"command": "echo hello > hello.txt"}),), seconds=2.5)
    world.script(slow, Turn("And rest.", (Tool("Bash", {"command": "sleep 2"}),)), Turn("Done."))
    uri = f"{world.instructions({'main.md': b'# Say hello', 'deep/down.bin': bytes(range(256))})}*"
    done = run(instructions_s3_uri=uri, branch_name="new", limits={"checkpoint_seconds": 1})
    done.delivered()
    files = kept(world, bucket, done)
    assert files.keys() >= KEPT
    assert not done.saved_file(".").exists()
    asked, usage = json.loads(files["request.json"]), json.loads(files["usage.json"])
    assert (asked["branch_name"], asked["limits"]["checkpoint_seconds"]) == ("new", 1)
    assert usage["replies"] == 3
    assert usage["spent_usd"] == pytest.approx(done.delivered().cost_usd)
    assert not [name for name, content in files.items() if b"local-git-token" in content]


def test_a_kept_change_is_delivered_from_there(world: World, bucket: str, run: Callable[..., Run]) -> None:
    from flows.deliver import deliver  # noqa: PLC0415

    world.shell("mkdir .circleci; echo x > .circleci/config.yml")
    stopped = run(branch_name="the-branch")
    assert isinstance(stopped.error, errors.CiFilesChanged)
    assert "change.bundle" in kept(world, bucket, stopped)
    call: Callable[..., Any] = deliver
    call(flow_run_id=stopped.id, policy={"allow_ci_changes": True})
    assert world.content("the-branch", ".circleci/config.yml") == "x"


def test_what_was_never_kept_is_none_at_once(store: RunStore) -> None:
    assert store.read("plan") is None
    saved = SavedRun(store)
    saved.load(logging.getLogger("test"))
    assert (saved.plan, saved.checkpoint, saved.finished) == (None, None, None)


def test_what_is_torn_there_is_as_good_as_none(world: World, bucket: str, store: RunStore) -> None:
    path = store.save_sealed("change", b"the change")
    assert store.read_sealed("change") == b"the change"
    world.stack.s3().put_object(Bucket=bucket, Key=path, Body=store.files.read_path(path)[:-1])
    assert store.read_sealed("change") is None


def test_a_bucket_that_is_not_there_takes_nothing() -> None:
    from prefect_aws import S3Bucket  # noqa: PLC0415

    with pytest.raises(errors.StoreUnavailable, match="NoSuchBucket"):
        RunStore(S3Bucket(bucket_name="nobody-has-this-one"), "the-run", ()).save_sealed("plan", b"x")


def test_it_is_the_same_from_a_thread_and_beside_an_event_loop(store: RunStore) -> None:
    found: list[bytes | None] = []

    def keep_and_read() -> None:
        store.save_sealed("change", b"x" * 10**7)  # large enough for S3's multipart upload
        found.append(store.read_sealed("change"))

    thread = threading.Thread(target=keep_and_read)
    thread.start()
    thread.join()

    async def main() -> None:
        await asyncio.to_thread(keep_and_read)

    asyncio.run(main())
    assert found == [b"x" * 10**7] * 2


def test_prefects_own_block_and_ours_agree_on_where_it_is(bucket: str, store: RunStore, tmp_path: Path) -> None:
    from prefect.results import get_default_result_storage  # noqa: PLC0415

    store.save("report.md", b"# Done\n")
    storage: Any = get_default_result_storage()
    assert storage.bucket_name == bucket
    storage.get_directory(store.path(""), str(tmp_path))
    assert (tmp_path / "report.md").read_bytes() == b"# Done\n"
