"""Plants in the repository's configuration: each takes effect when git is used naively, and none in a run."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployments.local.git_remote import GitRemote
from deployments.local.stack import GIT_TOKEN
from tests.hostile.plants import CONFIG, DAEMONS, HOOKS, NAIVE_COMMANDS, REPLANTING, WITHOUT_NAIVE_EFFECT
from tests.support.attack import Attack, Markers, SecondServer

ADDED = {
    ".gitattributes",
    "hello.txt",
    "a.clean",
    "a.smudge",
    "a.driver",
    "a.textconv",
    "a.include",
    "a.if",
}
ENDS_GIT = "filter-process"
"""A filter that breaks git's protocol makes `git add` fail, so its run is tested separately, in test_outcomes."""

RUN_BY_ADD = {"filter-clean", "include", "include-if", "config-worktree", "attributes-file"}

OWN_ADD = (
    "timeout 20 git -c core.hooksPath=/dev/null -c core.fsmonitor=false "
    '--git-dir="$PWD/.git" --work-tree="$PWD" add --all >/dev/null 2>&1 || :'
)
"""The agent's own git runs what it planted, which shows that the plants work. The run's git never does."""


@pytest.fixture
def hand_made_clone(tmp_path: Path) -> Iterator[Path]:
    """A clone as a person makes it by hand, with a branch to merge."""
    (tmp_path / "seed").mkdir()
    (tmp_path / "seed" / "README.md").write_text("# A repository\n")
    (tmp_path / "served").mkdir()
    with GitRemote(tmp_path / "served", GIT_TOKEN) as remote:
        url = remote.create("r", tmp_path / "seed")
        subprocess.run(
            ["git", "clone", "--quiet", url, str(tmp_path / "clone")], check=True, env=token_environment(tmp_path)
        )
        yield tmp_path / "clone"


def token_environment(folder: Path) -> dict[str, str]:
    """Return the environment of a user whose askpass program gives the token to any server that asks."""
    askpass = folder / "askpass"
    askpass.write_text('#!/bin/sh\necho "$GIT_TOKEN"\n')
    askpass.chmod(0o755)
    identity = {f"GIT_{role}_{key}": "x" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    isolation = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "EDITOR": "true",
    }
    return {**os.environ, **identity, **isolation, "GIT_TOKEN": GIT_TOKEN, "GIT_ASKPASS": str(askpass)}


def git(clone: Path, *arguments: str, **variables: str) -> None:
    subprocess.run(
        ["git", *arguments],
        cwd=clone,
        env=token_environment(clone.parent) | variables,
        check=False,
        capture_output=True,
        timeout=10,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("name", [name for name in {**HOOKS, **CONFIG} if name not in WITHOUT_NAIVE_EFFECT])
def test_used_naively_git_runs_the_plant_as_our_user_or_gives_it_the_token(
    hand_made_clone: Path, markers: Markers, second_server: SecondServer, name: str
) -> None:
    for branch, words in (("side", "two"), ("main", "one")):
        git(hand_made_clone, "checkout", "--quiet", "-B", branch, "origin/main")
        (hand_made_clone / "README.md").write_text(f"{words}\n")
        git(hand_made_clone, "commit", "--quiet", "--all", f"--message={words}")
    script = markers.script({**HOOKS, **CONFIG}[name], second_server)
    subprocess.run(script, shell=True, cwd=hand_made_clone, env=token_environment(hand_made_clone.parent), check=True)  # noqa: S602 (our own script)
    (hand_made_clone / "new.txt").write_text("new\n")
    for command in NAIVE_COMMANDS:
        git(hand_made_clone, *command.split())
        git(hand_made_clone, "merge", "--abort")
    assert [
        mark for mark in markers.seen() if mark.plant == name and mark.uid == 0
    ] or second_server.credential_requests()


def test_hooks_never_run_for_the_trusted_side(run_attack: Callable[..., Attack]) -> None:
    attack = run_attack("\n".join(HOOKS.values()) + "\ngit commit -q --allow-empty -m mine\n")
    attack.check_isolation()
    attack.check_delivered({"hello.txt"})
    assert {"pre-commit", "post-commit", "reference-transaction"} <= attack.executed_plants()


def test_options_never_run_or_redirect_the_trusted_side(run_attack: Callable[..., Attack]) -> None:
    scripts = [script for name, script in CONFIG.items() if name != ENDS_GIT]
    attack = run_attack("\n".join([*scripts, OWN_ADD]))
    attack.check_isolation()
    attack.check_delivered({*ADDED, "a.worktree", "a.af"})
    assert attack.executed_plants() >= RUN_BY_ADD


@pytest.mark.parametrize("name", ["instead-of", "work-tree"])
def test_options_that_mask_others_have_no_effect_by_themselves_either(
    run_attack: Callable[..., Attack], name: str
) -> None:
    attack = run_attack(CONFIG[name])
    attack.check_isolation()
    attack.check_delivered({"hello.txt"})


def test_processes_that_stay_alive_to_plant_again_are_killed(run_attack: Callable[..., Attack]) -> None:
    attack = run_attack("\n".join([REPLANTING, *DAEMONS.values(), OWN_ADD]))
    attack.check_isolation()
    attack.check_delivered({"hello.txt", ".gitattributes", "a.daemon", "a.holds"})
    assert {"from-a-filter", "holds-the-pipe"} <= attack.executed_plants()
