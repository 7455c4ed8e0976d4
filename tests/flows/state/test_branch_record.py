"""The record of a branch is found by our own keys only, and says what was pushed last."""

from dataclasses import replace
from pathlib import Path

from prefect.filesystems import LocalFileSystem

from flows.state.branch_record import BranchRecord, BranchRecords, session_digest, with_answers
from flows.state.files import BRANCHES, FOLDER

URL = "https://github.com/o/r.git"


def records(folder: Path, url: str = URL) -> BranchRecords:
    return BranchRecords(LocalFileSystem(basepath=str(folder)), url)


def test_a_push_is_found_by_branch_and_later_by_number(tmp_path: Path) -> None:
    store = records(tmp_path)
    assert store.of_branch("work") is None
    store.save_push("work", "run-1", "a" * 40, b"a conversation")
    record = store.of_branch("work")
    assert record is not None
    assert (record.run_id, record.head, record.number) == ("run-1", "a" * 40, 0)
    assert record.session == session_digest(b"a conversation")
    assert session_digest(b"") == ""
    store.save_push("work", "run-1", "a" * 40, b"a conversation", 7)
    found = store.of_pull_request(7)
    assert found == store.of_branch("work")
    assert store.of_pull_request(8) is None


def test_a_later_push_keeps_what_is_known_about_the_pull_request(tmp_path: Path) -> None:
    store = records(tmp_path)
    store.save_push("work", "run-1", "a" * 40, b"", 7)
    record = store.of_branch("work")
    assert record is not None
    store.save(with_answers(record, [("C_1", "2026-11-28T10:00:00+00:00")], "2026-11-28T11:00:00+00:00"))
    store.save_push("work", "run-2", "b" * 40, b"longer")
    found = store.of_pull_request(7)
    assert found is not None
    assert (found.run_id, found.head) == ("run-2", "b" * 40)
    assert found.answered == {"C_1": "2026-11-28T10:00:00+00:00"}
    assert found.requested_at == "2026-11-28T11:00:00+00:00"
    assert with_answers(found, [], "").requested_at == found.requested_at


def test_another_pull_request_of_the_branch_has_no_answers_yet(tmp_path: Path) -> None:
    store = records(tmp_path)
    store.save_push("work", "run-1", "a" * 40, b"", 7)
    record = store.of_branch("work")
    assert record is not None
    store.save(with_answers(record, [("C_1", "2026-11-28T10:00:00+00:00")], "2026-11-28T11:00:00+00:00"))
    store.save_push("work", "run-2", "b" * 40, b"", 9)
    found = store.of_pull_request(9)
    assert found is not None
    assert (found.answered, found.requested_at) == ({}, "")


def test_a_git_server_that_is_no_known_forge_may_tell_upper_from_lower_case(tmp_path: Path) -> None:
    records(tmp_path, "https://git.example.com/team/App.git").save_push("work", "run-1", "a" * 40, b"")
    assert records(tmp_path, "https://GIT.example.com/team/App").of_branch("work")
    assert records(tmp_path, "https://git.example.com/team/app.git").of_branch("work") is None


def test_the_address_of_the_repository_may_be_written_in_each_usual_way(tmp_path: Path) -> None:
    records(tmp_path).save_push("work", "run-1", "a" * 40, b"", 7)
    for url in (
        "https://github.com/o/r",
        "https://GitHub.com/O/R.git",
        "https://github.com:443/o/r/",
        "https://github.com/o/r.git/",
        "http://github.com/o/r",
        "http://github.com:80/o/r",
    ):
        assert records(tmp_path, url).of_pull_request(7)
    for url in (
        "https://github.com/o/other",
        "https://gitlab.com/o/r.git",
        "https://github.com:8443/o/r",
        "https://github.com:80/o/r",
    ):
        assert records(tmp_path, url).of_branch("work") is None


def test_a_record_in_the_place_of_another_does_not_count(tmp_path: Path) -> None:
    mine, theirs = records(tmp_path), records(tmp_path, "https://github.com/o/other.git")
    mine.save_push("work", "run-1", "a" * 40, b"", 7)
    folder = tmp_path / FOLDER / BRANCHES
    before = {path.name for path in folder.iterdir()}
    theirs.save_push("work", "run-9", "b" * 40, b"", 7)
    for copy in {path.name for path in folder.iterdir()} - before:
        for own in before:
            (folder / own / "record").write_bytes((folder / copy / "record").read_bytes())
    assert mine.of_branch("work") is None
    assert mine.of_pull_request(7) is None


def test_a_record_of_another_version_does_not_count(tmp_path: Path) -> None:
    store = records(tmp_path)
    store.save_push("work", "run-1", "a" * 40, b"")
    [file] = (tmp_path / FOLDER / BRANCHES).glob("*/record")
    content = file.read_bytes()
    file.write_bytes(content.replace(b"run-1", b"run-2"))
    assert store.of_branch("work") is None, "a changed record has another checksum"
    file.write_bytes(content)
    assert store.of_branch("work") == replace(BranchRecord(URL, "work", "run-1", "a" * 40), pushed_at=_pushed_at(store))


def _pushed_at(store: BranchRecords) -> str:
    record = store.of_branch("work")
    assert record is not None
    return record.pushed_at


def test_a_record_by_number_that_a_lost_machine_has_not_written_is_that_of_the_branch(tmp_path: Path) -> None:
    store = records(tmp_path)
    store.save_push("work", "run-1", "a" * 40, b"", 7)
    [by_number] = [
        path for path in tmp_path.rglob("record") if path.parent.name != store.folder("work").flow_run_id[9:]
    ]
    before = by_number.read_bytes()
    record = store.of_branch("work")
    assert record is not None
    store.save(with_answers(record, [("C_1", "2026-11-28T10:00:00+00:00")], ""))
    by_number.write_bytes(before)
    assert store.of_pull_request(7) == store.of_branch("work") != record
    store.save_push("work", "run-2", "b" * 40, b"", 8)
    first, second = store.of_pull_request(7), store.of_pull_request(8)
    assert first is not None
    assert second is not None
    assert (first.run_id, second.run_id) == ("run-1", "run-2"), "the branch has another pull request now"
