"""`python -m deployments runs`: lists and deletes saved state in a directory and in a bucket."""

import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployments.local.stack import LocalStack
from flows.state.saved_run import SavedRun
from flows.state.store import RunStore
from tests.support.commands import SetUpCommand, set_up_command

BLOCKS = ("local-file-system", "s3-bucket")


@pytest.fixture(scope="module")
def give(stack: LocalStack) -> SetUpCommand:
    return set_up_command(stack, "runs")


class Place:
    """A storage block for one test, with its directory or bucket."""

    def __init__(self, stack: LocalStack, kind: str, folder: Path) -> None:
        from prefect.filesystems import LocalFileSystem  # noqa: PLC0415
        from prefect_aws import S3Bucket  # noqa: PLC0415

        name = f"place-{uuid.uuid4().hex[:8]}"
        self.slug, self._folder, self._s3, self._bucket = f"{kind}/{name}", folder, stack.s3(), name
        self.is_bucket = kind == "s3-bucket"
        if self.is_bucket:
            self._s3.create_bucket(Bucket=name)
            self._s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        self._block = (
            S3Bucket(bucket_name=name, bucket_folder="team")
            if self.is_bucket
            else LocalFileSystem(basepath=str(folder))
        )
        self._block.save(name)

    def save(self, flow_run_id: str, cost: float = 0, **files: bytes) -> RunStore:
        store = RunStore(self._block, flow_run_id, ())
        for file, content in files.items():
            store.save(file.replace("_", "."), content)
        if cost:
            SavedRun(store).save_result(b"", [], {"spent_usd": cost, "replies": 3}, logging.getLogger("test"))
        return store

    def files(self) -> set[str]:
        """Return all files, including those of which only older versions are left."""
        if not self.is_bucket:
            return {path.relative_to(self._folder).as_posix() for path in self._folder.rglob("*") if path.is_file()}
        pages = self._s3.list_object_versions(Bucket=self._bucket)
        return {
            version["Key"].removeprefix("team/")
            for version in [*pages.get("Versions", []), *pages.get("DeleteMarkers", [])]
        }

    def age(self, seconds: float) -> None:
        """Set the times of all files back; the objects of a bucket cannot be changed like this."""
        for path in self._folder.rglob("*"):
            os.utime(path, (time.time() - seconds, time.time() - seconds))


@pytest.fixture(params=BLOCKS)
def place(stack: LocalStack, request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(stack, request.param, tmp_path)


@pytest.fixture
def flow_run(stack: LocalStack) -> Iterator[Callable[[str], str]]:
    """Create flow runs in a state; return their ids, and delete them at the end."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415
    from prefect.client.schemas.objects import State, StateType  # noqa: PLC0415

    flow_run_ids = []

    def create(state: str) -> str:
        assert stack.prefect_api_url
        from flows.implement import implement  # noqa: PLC0415

        with get_client(sync_client=True) as client:
            run = client.create_flow_run(implement, name=f"run-{state}", state=State(type=StateType(state)))
        flow_run_ids.append(run.id)
        return str(run.id)

    yield create
    with get_client(sync_client=True) as client:
        for flow_run_id in flow_run_ids:
            client.delete_flow_run(flow_run_id)


def test_the_list_describes_the_saved_state_of_each_run(
    give: SetUpCommand, place: Place, flow_run: Callable[[str], str]
) -> None:
    finished, unknown = flow_run("COMPLETED"), str(uuid.uuid4())
    place.save(finished, 1.25, change_bundle=b"x" * 2 * 2**20)
    place.save(unknown, 0.5, report_md=b"# Done")
    rows = {
        line.split("│")[1].strip(): line for line in give("list", "--block", place.slug).splitlines() if "│" in line
    }
    for part in ("run-COMPLETED", "Completed", "0 h", "2.0 MiB", "saved", "$1.25"):
        assert part in rows[finished]
    assert "unknown to this server" in rows[unknown]
    assert "saved" not in rows[unknown]
    assert "$1.75" in rows["2 runs"]


def test_an_empty_store_is_an_empty_list(give: SetUpCommand, place: Place) -> None:
    assert "0 runs" in give("list", "--block", place.slug)
    assert give("delete", "--older-than", "1d", "--block", place.slug) == "nothing to delete\n"


def test_one_run_is_deleted_permanently_after_confirmation_and_no_other_is(give: SetUpCommand, place: Place) -> None:
    flow_run_id, other_id = str(uuid.uuid4()), str(uuid.uuid4())
    for _ in range(2):  # a second version of each object
        place.save(flow_run_id, 1, report_md=b"1")
        saved = place.save(other_id, 1, report_md=b"1")
    before = place.files()
    assert "Aborted" in give("delete", flow_run_id, "--block", place.slug, status=1, stdin="n\n")
    assert place.files() == before
    assert f"delete {flow_run_id}" in give("delete", flow_run_id, "--block", place.slug, stdin="y\n")
    assert place.files() == {saved.path("report.md"), saved.path("usage.json")}


@pytest.mark.parametrize("state", ["RUNNING", "PENDING", "SCHEDULED", "PAUSED", "CANCELLING"])
def test_an_unfinished_run_keeps_its_saved_state(
    give: SetUpCommand, stack: LocalStack, tmp_path: Path, flow_run: Callable[[str], str], state: str
) -> None:
    place = Place(stack, "local-file-system", tmp_path)
    flow_run_id = flow_run(state)
    place.save(flow_run_id, 1)
    refusal = give("delete", flow_run_id, "--yes", "--block", place.slug, status=1)
    assert f"RunsNotOver: {flow_run_id} is not finished" in refusal
    place.age(86400 * 40)
    output = give("delete", "--older-than", "30d", "--yes", "--block", place.slug)
    assert f"not deleted, because the run is not finished: {flow_run_id}" in output
    assert place.files()
    give("delete", flow_run_id, "--yes", "--force", "--block", place.slug)
    assert not place.files()


def test_only_old_state_is_deleted_by_age(give: SetUpCommand, stack: LocalStack, tmp_path: Path) -> None:
    place = Place(stack, "local-file-system", tmp_path)
    place.save("old", 1, report_md=b"1", plan=b"2")
    cache, branch = place.save("caches/0a1b", description_json=b"1"), place.save("branches/0a1b", record=b"1")
    place.age(86400 * 31)
    new = place.save("new", 1)
    touched = place.save("touched", report_md=b"1")
    assert "delete old" in give("delete", "--older-than", "30d", "--yes", "--block", place.slug)
    others = {cache.path("description.json"), branch.path("record")}
    assert place.files() == {new.path("usage.json"), touched.path("report.md")} | others


def test_state_in_a_bucket_is_deleted_by_age_too(give: SetUpCommand, stack: LocalStack, tmp_path: Path) -> None:
    place = Place(stack, "s3-bucket", tmp_path)
    place.save("new", 1)
    cache, branch = place.save("caches/0a1b", description_json=b"1"), place.save("branches/0a1b", record=b"1")
    assert give("delete", "--older-than", "1h", "--yes", "--block", place.slug) == "nothing to delete\n"
    time.sleep(1.5)  # times in S3 are whole seconds
    assert "delete new" in give("delete", "--older-than", "0h", "--yes", "--block", place.slug)
    assert place.files() == {cache.path("description.json"), branch.path("record")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "it is unclear which runs"),
        (("a-run", "--older-than", "1d"), "it is unclear which runs"),
        (("../../etc",), "no saved state exists for the run ../../etc"),
        (("--older-than", "a month"), "is not an age"),
    ],
)
def test_an_ambiguous_or_unknown_selection_deletes_nothing(
    give: SetUpCommand, stack: LocalStack, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    place = Place(stack, "local-file-system", tmp_path)
    place.save("a-run", 1)
    assert message in give("delete", *arguments, "--yes", "--block", place.slug, status=1)
    assert len(place.files()) == 1


def test_the_default_block_is_prefects_result_storage(give: SetUpCommand, stack: LocalStack) -> None:
    from prefect.settings import PREFECT_LOCAL_STORAGE_PATH  # noqa: PLC0415

    assert stack.prefect_api_url
    assert str(PREFECT_LOCAL_STORAGE_PATH.value())[:20] in give("list")
    assert "StoreUnknown: there is no block s3-bucket/none" in give("list", "--block", "s3-bucket/none", status=1)
