"""The fresh checkout: what is in it, what of the agent is not, and what the agent finds afterwards."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.repository import setup_files
from flows.verification import checkout as module
from flows.verification.checkout import fresh_checkout
from flows.verification.prepared import prepared_exists
from flows.verification.results import Verdict, Verification
from tests.support.verification import VerifiedRun, verified_run

FILES = {
    "a.txt": "a\n",
    "dir/b.txt": "b\n",
    "program.py": "print(1)\n",
    "test.sh": "grep -q a a.txt\n",
    "package.json": "{}\n",
    ".gitignore": "*.log\n.venv/\nbuild/\n",
}
LOOK = "find ~ \"$TMPDIR\" . -not -path '*/.git/*' | sort; cat a.txt; git log --oneline; git status --porcelain"


@pytest.fixture
def run(tmp_path: Path) -> Iterator[VerifiedRun]:
    with verified_run(tmp_path, FILES) as made:
        yield made


def output(verification: Verification) -> str:
    (result,) = verification.results
    assert result.verdict is Verdict.PASSED, result
    return result.output


def tree(run: VerifiedRun) -> dict[str, tuple[int, int, int]]:
    """Return what identifies each file of the agent's directories: its inode, mode and size."""
    top = run.workspace.root / "agent"
    return {
        str(path): (status.st_ino, status.st_mode, status.st_size)
        for path in sorted(top.rglob("*"))
        for status in [path.lstat()]
    }


def test_it_has_the_change_and_nothing_else_of_the_agent(run: VerifiedRun) -> None:
    commit = run.change(
        "echo changed > a.txt; rm dir/b.txt; echo new > new.txt; echo x > forged.log; mkdir build; echo x > build/y; "
        'echo x > ~/.bashrc; mkdir -p ~/.local/bin; echo x > "$TMPDIR/z"; git config core.pager evil; '
        "mkdir -p .git/hooks .git/info; echo exit 1 > .git/hooks/post-checkout; chmod +x .git/hooks/*; "
        "git config alias.x y; "
        "echo '*.txt filter=evil' > .git/info/attributes; git config filter.evil.smudge 'touch ~/evil'"
    )
    text = output(run.verify(f"{LOOK}; git config --list", commit))
    lines = text.splitlines()
    assert "changed" in lines
    assert "./new.txt" in lines
    for word in ("b.txt", "forged", "build", ".bashrc", ".local", "/z", "evil", "core.pager", "alias"):
        assert word not in text, word
    assert run.checkout.base_commit[:7] in text  # the history is there


def test_afterwards_the_agent_has_everything_as_it_was(run: VerifiedRun) -> None:
    run.prepare("echo made > made.log; echo x > ~/tool")
    commit = run.change('echo 2 > a.txt; echo x > ignored.log; echo x > ~/mine; chmod 500 dir; echo x > "$TMPDIR/t"')
    before, records = tree(run), {file.name: file.read_bytes() for file in run.workspace.trusted.glob("checkout.*")}
    ended = setup_files.SetupFiles.load(run.workspace)
    run.verify("touch ~/theirs new.txt .git/evil; rm -rf dir; chmod 500 . ~", commit)
    assert tree(run) == before
    assert {file.name: file.read_bytes() for file in run.workspace.trusted.glob("checkout.*")} == records
    assert setup_files.SetupFiles.load(run.workspace) == ended
    assert not (run.workspace.trusted / "set-aside").exists()
    assert run.change("echo 3 > a.txt") not in {commit, run.checkout.base_commit}


def test_an_error_puts_everything_back(run: VerifiedRun) -> None:
    commit = run.change("echo 2 > a.txt; echo x > ~/mine")
    before = tree(run)
    checkout = fresh_checkout(run.workspace, run.checkout, commit, None, print)
    checkout.__enter__()
    assert tree(run) != before
    assert not checkout.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert tree(run) == before


def test_an_interruption_while_directories_are_moved_is_mended(
    run: VerifiedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = run.change("echo 2 > a.txt; echo x > ~/mine")
    before = tree(run)
    moves = 0

    def interrupted_move(*arguments: object) -> None:
        nonlocal moves
        moves += 1
        if moves == limit:
            raise KeyboardInterrupt
        move(*arguments)  # type: ignore[arg-type]

    move = module._move
    for limit in range(1, 30):
        moves = 0
        monkeypatch.setattr(module, "_move", interrupted_move)
        try:
            with fresh_checkout(run.workspace, run.checkout, commit, None, print):
                pass
        except KeyboardInterrupt:
            monkeypatch.setattr(module, "_move", move)
            module._put_back(run.workspace)
        monkeypatch.setattr(module, "_move", move)
        assert tree(run) == before, limit
        if moves < limit:
            return
    pytest.fail("the checkout moves more than expected")


def test_folders_of_a_thousand_levels_are_removed(run: VerifiedRun) -> None:
    shared = "/tmp/" if run.workspace.agent.uid is not None else ""  # noqa: S108 (the agent's own files)
    deep = f"for folder in ~ \"$TMPDIR\" {shared}; do mkdir -p $folder/deep/$(printf 'd/%.0s' $(seq 1200)); done"
    commit = run.change(f"{deep}; echo 2 > a.txt")
    assert output(run.verify(f'ls ~ "$TMPDIR" {shared} | grep -x deep || true; {deep}', commit)) == ""
    assert (run.workspace.home / "deep").is_dir()
    if shared:
        run.workspace.agent.remove_leftover_files()
        assert not Path(shared, "deep").exists()


def test_the_agents_directories_cannot_be_reached(run: VerifiedRun) -> None:
    if run.workspace.agent.uid is None:
        pytest.skip("needs root")
    commit = run.change("echo 2 > a.txt; echo x > ~/secret-name")
    top = run.workspace.root
    aside = run.workspace.trusted.joinpath("set-aside", "root", "agent", "home")
    text = output(run.verify(f"ls {aside}/ {top}/trusted/ {top}/ 2>&1 || true; ls -a {top}/agent/home", commit))
    assert text.count("Permission denied") == 3
    assert "secret-name" not in text


def test_what_the_setup_made_is_there_as_it_was_before_the_agent_started(run: VerifiedRun) -> None:
    run.prepare("mkdir -p build/deep/empty .venv/bin ~/.cache; echo made > build/x; echo made > plain; "
                "ln -s /usr .venv/usr; "
                "printf '#!/bin/sh\\necho ok\\n' > .venv/bin/tool; chmod 755 .venv/bin/tool; ln build/x build/hard; "
                "echo made > ~/.cache/y; echo made > $'odd\\nname'; echo made > ./-dash; "
                "chmod 500 build/deep")  # fmt: skip
    commit = run.change(
        "echo forged > build/x; rm -rf .venv; echo forged > ~/.cache/y; echo forged > ~/z; echo x > new"
    )
    text = output(run.verify("cat build/x plain ~/.cache/y build/hard -- -dash $'odd\\nname'; .venv/bin/tool; "
                             "readlink .venv/usr; ls -d build/deep/empty ~/z new || true", commit))  # fmt: skip
    assert text.splitlines()[:8] == [*["made"] * 6, "ok", "/usr"]
    assert "build/deep/empty" in text
    assert "forged" not in text
    assert not any("setup command" in line for line in run.log)


def test_files_of_the_change_win_and_follow_no_link(run: VerifiedRun) -> None:
    run.prepare("m=ma; mkdir ${m}de o$m; echo setup > ${m}de/f; echo setup > p$m; ln -s ~ l$m; echo setup > o$m/g")
    commit = run.change("echo mine > pma; git add -f pma; rm -rf made oma lma; echo mine > made; ln -s ~ oma; "
                        "mkdir lma; echo mine > lma/new")  # fmt: skip
    text = output(run.verify("cat pma made lma/new; readlink oma; ls ~", commit))
    assert text.splitlines() == ["mine", "mine", "mine", str(run.workspace.home)]


def test_the_setup_runs_again_where_a_manifest_changes(run: VerifiedRun) -> None:
    run.prepare("cp package.json installed.log; echo x >> ~/runs")
    assert prepared_exists(run.workspace)
    commit = run.change('echo \'{"name": "x"}\' > package.json')
    assert output(run.verify("cat installed.log ~/runs", commit)) == '{"name": "x"}\nx'
    assert any("setup command, from a test, runs" in line for line in run.log)


def test_the_setup_runs_again_where_nothing_is_saved(run: VerifiedRun) -> None:
    run.prepare("echo made > made.log", is_saved=False)
    commit = run.change("echo 2 > a.txt")
    assert output(run.verify("cat made.log a.txt", commit)) == "made\n2"


def test_a_setup_that_fails_is_a_failed_verification(run: VerifiedRun) -> None:
    run.prepare("! grep broken package.json")
    commit = run.change("echo broken > package.json")
    verification = run.verify("true", commit)
    assert "setup command, from a test, ended with exit status 1" in verification.setup_fault
    assert "did not start" in verification.setup_fault
    assert "The agent was not started" not in verification.setup_fault
    assert (verification.results, verification.status.value) == ((), "verification failed")


def test_a_killed_process_leaves_nothing_behind(run: VerifiedRun) -> None:
    """The folder of a run that was killed is emptied for the next run; here also if the agent's files are set aside."""
    from flows.sandbox.run_folder import _empty  # noqa: PLC0415

    commit = run.change("echo 2 > a.txt")
    copy = run.workspace.root.with_name(f"{run.workspace.root.name}-copy")
    try:
        with fresh_checkout(run.workspace, run.checkout, commit, None, print):
            shutil.copytree(run.workspace.root, copy, symlinks=True)
        _empty(copy)
        assert list(copy.iterdir()) == []
    finally:
        shutil.rmtree(copy, ignore_errors=True)
