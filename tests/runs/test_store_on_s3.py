"""The run store on S3: a real S3Bucket block, with moto as the server."""

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
from tests.runs.test_setup import commit_file
from tests.support.own_disk import own_disk
from tests.support.runs import Run
from tests.support.world import World

SAVED = {
    "request.json", "instructions-0", "plan", "checkpoint-0", "change", "change.bundle", "transcript.jsonl.gz",
    "usage.json", "report.md",
}  # fmt: skip


@pytest.fixture
def bucket(world: World) -> Iterator[str]:
    """The name of a bucket that is Prefect's result storage."""
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


def saved_files(world: World, bucket: str, run: Run) -> dict[str, bytes]:
    """Return the files of a run in the bucket."""
    prefix, s3 = f"claude-code-headless/{run.id}/", world.stack.s3()
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]
    return {key.removeprefix(prefix): s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def test_all_files_of_a_run_are_saved_on_s3_and_none_on_the_local_disk(
    world: World, bucket: str, run: Callable[..., Run]
) -> None:
    slow = Turn("I write.", (Tool("Bash", {"command": "echo hello > hello.txt"}),), seconds=2.5)
    world.script(slow, Turn("And rest.", (Tool("Bash", {"command": "sleep 2"}),)), Turn("Done."))
    uri = f"{world.instructions({'main.md': b'# Say hello', 'deep/down.bin': bytes(range(256))})}*"
    flow_run = run(instructions_s3_uri=uri, branch_name="new", limits={"checkpoint_seconds": 1})
    flow_run.delivered()
    files = saved_files(world, bucket, flow_run)
    assert files.keys() >= SAVED
    assert not flow_run.saved_file(".").exists()
    request, usage = json.loads(files["request.json"]), json.loads(files["usage.json"])
    assert (request["branch_name"], request["limits"]["checkpoint_seconds"]) == ("new", 1)
    assert usage["replies"] == 3
    assert usage["spent_usd"] == pytest.approx(flow_run.delivered().cost_usd)
    assert not [name for name, content in files.items() if b"local-git-token" in content]


def test_a_saved_change_is_delivered_from_s3(world: World, bucket: str, run: Callable[..., Run]) -> None:
    from flows.deliver import deliver  # noqa: PLC0415

    world.shell("mkdir .circleci; echo x > .circleci/config.yml")
    stopped_run = run(branch_name="the-branch")
    assert isinstance(stopped_run.error, errors.CiFilesChanged)
    assert "change.bundle" in saved_files(world, bucket, stopped_run)
    call: Callable[..., Any] = deliver
    call(flow_run_id=stopped_run.id, policy={"allow_ci_changes": True})
    assert world.content("the-branch", ".circleci/config.yml") == "x"


def test_a_file_that_was_never_saved_is_none(store: RunStore) -> None:
    assert store.read("plan") is None
    saved = SavedRun(store)
    saved.load(logging.getLogger("test"))
    assert (saved.plan, saved.checkpoint, saved.finished) == (None, None, None)


def test_a_torn_file_is_none(world: World, bucket: str, store: RunStore) -> None:
    path = store.save_sealed("change", b"the change")
    assert store.read_sealed("change") == b"the change"
    world.stack.s3().put_object(Bucket=bucket, Key=path, Body=store.files.read_path(path)[:-1])
    assert store.read_sealed("change") is None


def test_saving_to_a_bucket_that_does_not_exist_fails() -> None:
    from prefect_aws import S3Bucket  # noqa: PLC0415

    with pytest.raises(errors.StoreUnavailable, match="NoSuchBucket"):
        RunStore(S3Bucket(bucket_name="no-such-bucket-exists"), "the-run", ()).save_sealed("plan", b"x")


def test_the_store_works_from_a_thread_and_beside_an_event_loop(store: RunStore) -> None:
    contents: list[bytes | None] = []

    def save_and_read() -> None:
        store.save_sealed("change", b"x" * 10**7)  # large enough for S3's multipart upload
        contents.append(store.read_sealed("change"))

    thread = threading.Thread(target=save_and_read)
    thread.start()
    thread.join()

    async def main() -> None:
        await asyncio.to_thread(save_and_read)

    asyncio.run(main())
    assert contents == [b"x" * 10**7] * 2


def test_prefects_result_storage_and_the_run_store_use_the_same_paths(
    bucket: str, store: RunStore, tmp_path: Path
) -> None:
    from prefect.results import get_default_result_storage  # noqa: PLC0415

    store.save("report.md", b"# Done\n")
    storage: Any = get_default_result_storage()
    assert storage.bucket_name == bucket
    storage.get_directory(store.path(""), str(tmp_path))
    assert (tmp_path / "report.md").read_bytes() == b"# Done\n"


def test_the_setups_cache_is_in_the_bucket(world: World, bucket: str, run: Callable[..., Run]) -> None:
    settings = "cache: [deps]\nsetup: ls deps > seen.txt 2>/dev/null || true; mkdir -p deps; echo x > deps/made\n"
    commit_file(world, "main", ".claude-code-headless.yaml", settings)
    seen = []
    with own_disk():
        for _ in range(2):
            world.shell("cat seen.txt > copy.txt; echo . >> copy.txt")
            seen.append(world.content(run().delivered().branch, "copy.txt"))
    assert seen == [".", "made\n."]
    objects = world.stack.s3().list_objects_v2(Bucket=bucket, Prefix="claude-code-headless/caches/").get("Contents", [])
    assert {item["Key"].rpartition("/")[2] for item in objects} == {"archive-0", "description.json"}
