"""The verification of one commit: the baseline, the agent's forgeries, and what the result says."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.repository.git_commands import run_git
from flows.repository.setup import SetupCommand
from flows.verification.results import Status, Verdict
from tests.support.verification import VerifiedRun, verified_run

CHECK = """\
import sys
failed = []
for name in "abc":
    if open(name + ".txt").read() != "good\\n":
        failed.append(name)
        print("FAILED", name)
cases = "".join(f"<testcase name='{n}'>{'<failure/>' * (n in failed)}</testcase>" for n in "abc")
if "--junit" in sys.argv:
    open("junit.xml", "w").write(f"<testsuite>{cases}</testsuite>")
print(len(failed), "failed in 0.1s")
sys.exit(bool(failed))
"""
FILES = {
    "a.txt": "good\n",
    "b.txt": "good\n",
    "c.txt": "bad\n",
    "check.py": CHECK,
    "requirements.txt": "",
    ".gitignore": ".venv/\n*.xml\n",
}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[VerifiedRun]:
    with verified_run(tmp_path, FILES) as made:
        yield made


PYTHON = "python3"
JUNIT = ("*.xml",)


def test_a_change_that_passes_is_verified(run: VerifiedRun) -> None:
    commit = run.change("echo good > c.txt")
    verification = run.verify(f"{PYTHON} check.py\ntrue", commit)
    assert verification.status is Status.VERIFIED
    assert (verification.baseline, verification.failures, verification.baseline_fault) == ((), (), "")
    assert verification.tree == run_git(["rev-parse", f"{commit}^{{tree}}"], git_dir=run.workspace.clean_git).text


@pytest.mark.parametrize("junit", [JUNIT, ()], ids=["junit", "output"])
@pytest.mark.parametrize(
    ("script", "status", "failed"),
    [
        ("echo x > new.txt", Status.FAILED_BEFORE, ("c",)),
        ("echo bad > a.txt", Status.FAILED, ("a", "c")),
        ("echo bad > a.txt; echo good > c.txt", Status.FAILED, ("a",)),
    ],
    ids=["red-before", "red-before-and-more", "another"],
)
def test_what_failed_before_is_compared(
    run: VerifiedRun, script: str, status: Status, failed: tuple[str, ...], junit: tuple[str, ...]
) -> None:
    commands = f"{PYTHON} check.py --junit\ntrue"
    verification = run.verify(commands, run.change(script), junit=junit)
    assert verification.status is status
    assert [result.verdict for result in verification.baseline] == [Verdict.FAILED, Verdict.PASSED]
    if junit:
        assert verification.results[0].tests
        assert verification.results[0].tests.failed_names == failed
    expected = Verdict.FAILED_BEFORE if status is Status.FAILED_BEFORE else Verdict.FAILED
    assert [result.verdict for result in verification.results] == [expected, Verdict.PASSED]
    assert len(verification.failures) == (status is Status.FAILED)


def test_a_shorter_list_failed_before_as_well(tmp_path: Path) -> None:
    with verified_run(tmp_path, {**FILES, "b.txt": "bad\n"}) as run:
        verification = run.verify(f"{PYTHON} check.py", run.change("echo good > b.txt"))
        assert verification.status is Status.FAILED_BEFORE
        assert verification.results[0].output.startswith("FAILED c\n1 failed")


def test_the_baseline_runs_once_and_is_not_run_again_if_it_is_passed_on(run: VerifiedRun) -> None:
    commit = run.change("echo bad > a.txt")
    first = run.verify(f"{PYTHON} check.py", commit)
    assert sum("run on the base commit" in line for line in run.log) == 1
    second = run.verify(f"{PYTHON} check.py", commit, baseline=first.baseline)
    assert not any("base commit" in line for line in run.log)
    assert (second.baseline, second.status) == (first.baseline, Status.FAILED)
    third = run.verify(f"{PYTHON} check.py", commit, baseline=())
    assert (third.baseline_fault, third.status) == ("the base commit could not be set up", Status.FAILED)


def test_a_base_that_cannot_be_set_up_gives_no_baseline(run: VerifiedRun) -> None:
    run.setup = SetupCommand("test -s requirements.txt", "a test")  # it fails on the base commit
    verification = run.verify("false", run.change("echo x > requirements.txt"))
    assert "the setup command, from a test, ended with exit status 1" in verification.baseline_fault
    assert (verification.status, verification.baseline) == (Status.FAILED, ())


def test_nothing_is_compared_on_the_base_commit_itself(run: VerifiedRun) -> None:
    verification = run.verify(f"{PYTHON} check.py")
    assert (verification.status, verification.baseline, len(verification.failures)) == (Status.FAILED, (), 1)


def test_a_change_of_the_checks_is_said(run: VerifiedRun) -> None:
    verification = run.verify(f"{PYTHON} check.py", run.change("echo 'print(1)' > check.py"))
    assert verification.status is Status.CHECKS_CHANGED
    assert verification.changed_checks == ("check.py",)


FORGED = "printf '#!/bin/sh\\necho 3 passed\\n' > {0}/pytest; chmod 755 {0}/pytest"


@pytest.mark.parametrize(
    "forgery",
    [
        "mkdir -p ~/.local/bin; " + FORGED.format("~/.local/bin") + "; echo 'PATH=~/.local/bin:$PATH' | tee ~/.profile "
        "~/.bashrc ~/.bash_profile ~/.bash_login ~/.zshrc > ~/.zshenv",
        "mkdir -p ~/bin; " + FORGED.format("~/bin") + "; printf 'alias pytest=true' > ~/.bash_aliases",
        FORGED.format(".venv/bin"),
        "mkdir -p ~/.config/pip ~/.config/git; printf '[alias]\\nx = !true' > ~/.config/git/config; "
        "d=$(python3 -m site --user-site); mkdir -p $d; printf 'import os; os._exit(0)' > $d/usercustomize.py; "
        "cp $d/usercustomize.py $d/sitecustomize.py",
        "printf 'raise SystemExit(0)' > .venv/sitecustomize.py; cp .venv/sitecustomize.py $TMPDIR/pytest.py",
    ],
    ids=["start-files", "home", "venv", "python-start", "tmp"],
)
def test_a_forged_program_has_no_effect(run: VerifiedRun, forgery: str) -> None:
    run.prepare("mkdir -p .venv/bin; printf '#!/bin/sh\\necho 1 failed; exit 1\\n' > .venv/bin/pytest; "
                "chmod 755 .venv/bin/pytest")  # fmt: skip
    commit = run.change(f"{forgery}\necho 2 > a.txt")
    commands = (
        ".venv/bin/pytest\nbash -lc 'PATH=$PWD/.venv/bin:$PATH pytest'\nbash -ic '.venv/bin/pytest'\n"
        "PATH=~/.local/bin:~/bin:$PWD/.venv/bin:$PATH pytest\n"
        "PYTHONPATH=.venv:$TMPDIR python3 -c 'raise SystemExit(1)'"
    )
    results = run.verify(commands, commit, baseline=()).results
    assert [result.verdict for result in results] == [Verdict.FAILED] * 5
    assert not any("3 passed" in result.output for result in results)


def test_files_in_shared_directories_are_gone(run: VerifiedRun) -> None:
    if run.workspace.agent.uid is None:
        pytest.skip("needs root")
    commit = run.change("echo forged > /dev/shm/forged-by-agent; echo forged > /tmp/forged-by-agent; echo 2 > a.txt")
    (result,) = run.verify("! ls /dev/shm/forged-by-agent /tmp/forged-by-agent", commit, baseline=()).results
    assert result.verdict is Verdict.PASSED, result


def test_a_python_environment_of_the_setup_works_in_the_fresh_checkout(run: VerifiedRun) -> None:
    python = Path(sys.base_prefix) / "bin" / "python3"
    if not run.workspace.agent.can(["test", "-x", str(python)]):
        python = Path("/usr/bin/python3")
    run.prepare(f"{python} -m venv --without-pip .venv; echo 'answer = 42' > \"$(.venv/bin/python -c 'import site; "
                "print(site.getsitepackages()[0])')/tool.py\"")  # fmt: skip
    commit = run.change("rm -rf .venv; echo 2 > a.txt")
    command = ". .venv/bin/activate; python -c 'import tool, sys; print(tool.answer, sys.prefix)'"
    (result,) = run.verify(command, commit).results
    assert (result.verdict, result.output) == (Verdict.PASSED, f"42 {run.workspace.work_tree}/.venv")


def test_the_lines_of_the_baseline_are_marked_and_patterns_without_a_file_are_named(run: VerifiedRun) -> None:
    verification = run.verify("echo shown; test ! -e new.txt", run.change("echo x > new.txt"), junit=("r/*.xml",))
    start = next(number for number, line in enumerate(run.log) if "the commands run on the base commit" in line)
    base = run.log[start + 1 : -1]
    assert [line for line in run.log[: start + 1] if line.startswith("base: ")] == []
    assert "base: shown" in base
    assert base[-1].startswith("base: echo shown; test ! -e new.txt: passed")
    assert all(line.startswith("base: ") for line in base)
    assert verification.unmatched_junit == ("r/*.xml",)
    assert run.log[-1] == "verify: No verify command wrote a file that matches a pattern of junit: r/*.xml"
