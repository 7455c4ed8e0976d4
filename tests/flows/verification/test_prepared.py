"""What the setup made is saved where the agent cannot reach it, or it is said why not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.verification import prepared
from flows.verification.prepared import prepared_exists, save_prepared
from flows.verification.results import Verdict
from tests.support.verification import VerifiedRun, verified_run


@pytest.fixture
def run(tmp_path: Path) -> Iterator[VerifiedRun]:
    with verified_run(tmp_path, {"a.txt": "a\n", ".gitignore": "*.log\n"}) as made:
        yield made


def test_the_agent_can_neither_read_nor_change_it(run: VerifiedRun) -> None:
    run.prepare("echo made > made.log")
    file = run.workspace.trusted / "prepared.tar"
    assert prepared_exists(run.workspace)
    assert (file.stat().st_uid, file.stat().st_mode & 0o777) == (run.workspace.root.stat().st_uid, 0o600)
    if run.workspace.agent.uid is not None:
        for script in (f"! cat {file}", f"! rm {file}", f"! ls {file.parent}", f"! echo x > {file}"):
            run.agent(script)


def test_what_cannot_be_saved_is_said_and_made_again(run: VerifiedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "_MAX_BYTES", 100_000)
    run.prepare("head -c 200000 /dev/zero > large.log", is_saved=False)
    assert "runs the setup again: the files take more than" in save_prepared(run.workspace)
    assert not prepared_exists(run.workspace)
    assert not list(run.workspace.trusted.glob("prepared*"))
    (result,) = run.verify("wc -c < large.log", run.change("echo 2 > a.txt")).results
    assert (result.verdict, result.output) == (Verdict.PASSED, "200000")


def test_the_holes_of_sparse_files_take_no_space(run: VerifiedRun) -> None:
    run.prepare("truncate -s 10G image.log; printf end >> image.log; truncate -s 5G ~/empty")
    assert (run.workspace.trusted / "prepared.tar").stat().st_size < 2**21
    script = "stat -c %s image.log ~/empty; tail -c 3 image.log; du -m image.log | cut -f 1"
    (result,) = run.verify(script, run.change("echo 2 > a.txt")).results
    size, empty, end = result.output.split("\n")
    assert (int(size), int(empty)) == (10 * 2**30 + 3, 5 * 2**30)
    assert end in {"end0", "end1"}


def test_special_files_and_read_only_folders_are_saved(run: VerifiedRun) -> None:
    run.prepare(
        "mkfifo ~/pipe; mkdir -p ~/go/pkg; echo x > ~/go/pkg/f; chmod -R a-w ~/go; ln -s /nowhere ~/dangling; "
        "python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('socket.log')\""
    )
    script = "test -p ~/pipe; cat ~/go/pkg/f; stat -c %a ~/go/pkg; readlink ~/dangling"
    (result,) = run.verify(script, run.change("echo 2 > a.txt")).results
    assert (result.verdict, result.output) == (Verdict.PASSED, "x\n555\n/nowhere")
