"""Verify commands as real processes of the agent's user: the verdicts, and commands that behave badly."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flows.redaction import SECRETS
from flows.verification import run as module
from flows.verification.results import CommandResult, TestCounts, Verdict
from tests.support.own_disk import own_disk
from tests.support.verification import VerifiedRun, verified_run

SUITE = "<testsuites><testsuite name='s'>{}</testsuite></testsuites>"
CASES = (
    "<testcase classname='a.B' name='good'/><testcase classname='a.B' name='bad'><failure message='m'>t</failure>"
    "</testcase><testcase name='worse'><error/></testcase><testcase name='off'><skipped/></testcase>"
)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[VerifiedRun]:
    with verified_run(tmp_path, {"a.txt": "a\n", "fixtures/junit.xml": SUITE.format(CASES)}) as made:
        yield made


def results(
    run: VerifiedRun, commands: str, *, seconds: float = 60, junit: tuple[str, ...] = ()
) -> list[CommandResult]:
    return list(run.verify(commands, seconds=seconds, junit=junit).results)


def test_all_commands_run_and_each_has_its_verdict(run: VerifiedRun) -> None:
    script = (
        "echo one\nexit 3\nno-such-program --x\nkill -9 $$\nsh -c 'kill -15 $$'\necho No space left on device; false\n"
    )
    made = results(run, f"{script}echo last > a.txt; cat a.txt")
    assert [(result.verdict, result.exit_status) for result in made] == [
        (Verdict.PASSED, 0),
        (Verdict.FAILED, 3),
        (Verdict.NOT_FOUND, 127),
        (Verdict.FAILED, -9),
        (Verdict.FAILED, 143),
        (Verdict.OUT_OF_DISK, 1),
        (Verdict.PASSED, 0),
    ]
    assert made[0].output == "one"
    assert "no-such-program: command not found" in made[2].output
    assert made[-1].output == "last"
    assert all(result.seconds > 0 for result in made)
    assert "verify: exit 3: failed (exit status 3, " in " ".join(run.log)


def test_the_output_is_redacted_cleaned_and_cut(run: VerifiedRun) -> None:
    SECRETS.learn("a secret", "hunter2-hunter2", is_for_agent=True)
    (long,) = results(
        run, "printf 'hunter2-hunter2 \\033[31mred\\r\\n'; for i in $(seq 2000); do echo line $i; done; false"
    )
    assert long.output.endswith("line 2000")
    assert len(long.output) <= 8_000
    (short,) = results(run, "printf 'hunter2-hunter2 \\033[31mred\\n'")
    assert short.output == "[REDACTED] red" or "hunter2" not in short.output
    assert "\x1b" not in short.output
    assert not any("hunter2" in line for line in run.log if not line.startswith("verify: "))


@pytest.mark.parametrize(
    ("command", "verdict"),
    [
        ("sleep 600", Verdict.TIMED_OUT),
        ("exec >&- 2>&-; sleep 600", Verdict.TIMED_OUT),
        ("trap '' TERM INT; while :; do :; done", Verdict.TIMED_OUT),
        ("head -c 200000000 /dev/zero | tr '\\0' x", Verdict.PASSED),
        ("yes line | head -c 200000000", Verdict.PASSED),
        ("f() { f & f & }; ulimit -u 200; f; sleep 600", Verdict.TIMED_OUT),
        ("(setsid sleep 600 &) ; (while :; do echo x >> ~/later; sleep .05; done) & exit 0", Verdict.PASSED),
        ("test -t 0 || test -t 1 || exec 3< /dev/tty", Verdict.FAILED),
        ("read -r line", Verdict.FAILED),
        ("kill -9 $PPID; kill -9 1; exit 0", Verdict.FAILED),
        ("kill -9 -1", Verdict.PASSED),
    ],
    ids=["hang", "closed", "loop", "flood", "lines", "forks", "left-behind", "terminal", "input", "parent", "all"],
)
def test_a_command_that_behaves_badly_ends_and_the_next_one_runs(
    run: VerifiedRun, command: str, verdict: Verdict
) -> None:
    if run.workspace.agent.uid is None and "kill" in command:
        pytest.skip("needs root")
    made = results(run, f"{command}\necho next", seconds=15 if verdict is not Verdict.TIMED_OUT else 3)
    assert [result.verdict for result in made] == [verdict, Verdict.PASSED]
    assert len(made[0].output) <= 8_000
    assert run.workspace.agent.processes() == []
    assert len(run.log) < 520


@pytest.mark.parametrize(
    "command", ['rm -rf "$PWD"', "mv ../work-tree ../other", "rm -rf ../../agent/*"], ids=["removed", "moved", "all"]
)
def test_a_command_that_removes_the_work_tree_fails_only_the_next_one(run: VerifiedRun, command: str) -> None:
    made = results(run, f"{command}\necho next", junit=("*.xml",))
    assert [(result.verdict, result.exit_status == 0) for result in made] == [
        (Verdict.PASSED, True),
        (Verdict.FAILED, False),
    ]
    assert "work-tree" in made[1].output
    assert run.change("echo 2 > a.txt") != run.checkout.base_commit


def test_the_repository_and_its_hooks_are_new_for_each_checkout(run: VerifiedRun) -> None:
    plant = (
        "mkdir -p .git/hooks; printf '#!/bin/sh\\ntouch ~/planted' > .git/hooks/post-checkout; chmod +x .git/hooks/*; "
        "git config core.fsmonitor 'touch ~/planted'; rm -rf .git/refs .git/index; echo 'ref: refs/x' > .git/HEAD"
    )
    made = results(run, plant)
    assert made[0].verdict is Verdict.PASSED
    commit = run.change("echo 2 > a.txt")
    assert commit != run.checkout.base_commit
    (result,) = run.verify("git status --porcelain; ls ~ .git/hooks 2>/dev/null || true", commit).results
    assert result.verdict is Verdict.PASSED
    assert "planted" not in result.output
    assert "post-checkout" not in result.output


def test_nothing_of_the_flows_process_can_be_read(run: VerifiedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    if run.workspace.agent.uid is None:
        pytest.skip("needs root")
    monkeypatch.setenv("OPERATOR_TOKEN", "operator-token-0123456789")
    pid = os.getpid()
    files = f"/proc/{pid}/environ /proc/{pid}/mem /proc/[0-9]*/environ"
    (result,) = results(run, f"cat {files} 2>/dev/null | tr '\\0' '\\n'; ls /proc/{pid}/fd || true")
    assert result.verdict is Verdict.PASSED
    assert "operator-token" not in result.output
    assert "OPERATOR_TOKEN" not in result.output
    assert "Permission denied" in result.output


def test_a_full_disk_is_a_verdict_and_is_free_afterwards(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with own_disk() as disk, mounted(disk), verified_run(tmp_path, {"a.txt": "a\n"}) as run:
        fill = "dd if=/dev/zero of=fill bs=1M 2>&1"
        made = results(run, f"{fill}\n{fill} || true\necho later")
        assert [result.verdict for result in made] == [Verdict.OUT_OF_DISK, Verdict.PASSED, Verdict.PASSED]
        assert (run.workspace.work_tree / "a.txt").read_text() == "a\n"
        assert not run.workspace.disk_is_full
        assert run.change("echo 2 > a.txt") != run.checkout.base_commit


@contextmanager
def mounted(disk: Path) -> Iterator[None]:
    mount = ["mount", "-t", "tmpfs", "-o", "size=96m,mode=711", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("this machine mounts no disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_out_of_memory_is_only_said_if_the_kernel_says_so(run: VerifiedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter([5, 6, 6, 6, 6, 7])
    monkeypatch.setattr(module, "killed_processes", lambda: next(counts))
    made = results(run, "sh -c 'kill -9 $$'\nsh -c 'kill -9 $$'\nexit 1")
    assert [result.verdict for result in made] == [Verdict.OUT_OF_MEMORY, Verdict.FAILED, Verdict.FAILED]


def test_a_command_that_hides_its_failed_tests_fails(run: VerifiedRun) -> None:
    good = SUITE.format("<testcase name='a'/><testcase name='b'><skipped/></testcase>")
    made = results(run, f'echo "{SUITE.format(CASES)}" > r.xml\necho "{good}" > r.xml', junit=("r.xml",))
    assert [(each.verdict, each.exit_status) for each in made] == [(Verdict.FAILED, 0), (Verdict.PASSED, 0)]
    assert made[0].reason == "exit status 0, but its JUnit files have 2 failed tests"
    assert "failed (exit status 0, but its JUnit files have 2 failed tests, " in " ".join(run.log)


def test_junit_files_count_for_the_command_that_wrote_them(run: VerifiedRun) -> None:
    write = f'mkdir -p r; cat > r/a.xml <<< "{SUITE.format(CASES)}"; exit 1'
    again = "cp -p r/a.xml r/b.xml; touch -d 2001-01-01 r/b.xml; echo '<testsuite/>' > other.xml"
    made = results(run, f"{write}\necho nothing\n{again}", junit=("r/*.xml", "**/junit.xml"))
    counts = TestCounts(4, 2, 1, ("a.B::bad", "worse"))
    assert [result.tests for result in made] == [counts, None, counts]
    assert run.workspace.work_tree.joinpath("fixtures/junit.xml").exists()
