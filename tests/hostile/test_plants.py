"""Plants in the repository's configuration: each runs in the plain way, and none for the trusted side of a run."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployments.local.git_remote import GitRemote
from deployments.local.stack import GIT_TOKEN
from tests.hostile.plants import CONFIG, DAEMONS, HOOKS, NOT_IN_THE_PLAIN_WAY, PLAIN_WAY, REPLANTING
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
"""A filter that does not speak as git asks ends `git add`: it has a run of its own, among the outcomes."""

RUN_BY_ADD = {"filter-clean", "include", "include-if", "config-worktree", "attributes-file"}


@pytest.fixture
def plain_clone(tmp_path: Path) -> Iterator[Path]:
    """A clone as one makes it by hand, with a branch to merge."""
    (tmp_path / "seed").mkdir()
    (tmp_path / "seed" / "README.md").write_text("# A repository\n")
    (tmp_path / "served").mkdir()
    with GitRemote(tmp_path / "served", GIT_TOKEN) as remote:
        url = remote.create("r", tmp_path / "seed")
        subprocess.run(["git", "clone", "--quiet", url, str(tmp_path / "clone")], check=True, env=plain(tmp_path))
        yield tmp_path / "clone"


def plain(folder: Path) -> dict[str, str]:
    """Return the environment of one who has the token at hand for whoever asks."""
    askpass = folder / "askpass"
    askpass.write_text('#!/bin/sh\necho "$GIT_TOKEN"\n')
    askpass.chmod(0o755)
    who = {f"GIT_{role}_{key}": "x" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    alone = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0", "EDITOR": "true"}
    return {**os.environ, **who, **alone, "GIT_TOKEN": GIT_TOKEN, "GIT_ASKPASS": str(askpass)}


def git(clone: Path, *arguments: str, **variables: str) -> None:
    subprocess.run(
        ["git", *arguments],
        cwd=clone,
        env=plain(clone.parent) | variables,
        check=False,
        capture_output=True,
        timeout=10,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("name", [name for name in {**HOOKS, **CONFIG} if name not in NOT_IN_THE_PLAIN_WAY])
def test_in_the_plain_way_the_plant_runs_as_us_or_gets_the_token(
    plain_clone: Path, markers: Markers, second_server: SecondServer, name: str
) -> None:
    for branch, words in (("side", "two"), ("main", "one")):
        git(plain_clone, "checkout", "--quiet", "-B", branch, "origin/main")
        (plain_clone / "README.md").write_text(f"{words}\n")
        git(plain_clone, "commit", "--quiet", "--all", f"--message={words}")
    script = markers.script({**HOOKS, **CONFIG}[name], second_server)
    subprocess.run(script, shell=True, cwd=plain_clone, env=plain(plain_clone.parent), check=True)  # noqa: S602 (ours)
    (plain_clone / "new.txt").write_text("new\n")
    for command in PLAIN_WAY:
        git(plain_clone, *command.split())
        git(plain_clone, "merge", "--abort")
    assert [mark for mark in markers.seen() if mark.plant == name and mark.uid == 0] or second_server.given()


def test_hooks_never_run_for_the_trusted_side(attack: Callable[..., Attack]) -> None:
    done = attack("\n".join(HOOKS.values()) + "\ngit commit -q --allow-empty -m mine\n")
    done.check_held()
    done.check_delivered({"hello.txt"})
    assert {"pre-commit", "post-commit", "reference-transaction"} <= done.plants_run()


def test_options_never_run_or_redirect_the_trusted_side(attack: Callable[..., Attack]) -> None:
    done = attack("\n".join(script for name, script in CONFIG.items() if name != ENDS_GIT))
    done.check_held()
    done.check_delivered({*ADDED, "a.worktree", "a.af"})
    assert done.plants_run() >= RUN_BY_ADD


@pytest.mark.parametrize("name", ["instead-of", "work-tree"])
def test_options_that_hide_others_do_no_more_alone(attack: Callable[..., Attack], name: str) -> None:
    done = attack(CONFIG[name])
    done.check_held()
    done.check_delivered({"hello.txt"})


def test_what_stays_alive_to_plant_again_is_ended(attack: Callable[..., Attack]) -> None:
    done = attack("\n".join([REPLANTING, *DAEMONS.values()]))
    done.check_held()
    done.check_delivered({"hello.txt", ".gitattributes", "a.daemon", "a.holds"})
    assert {"from-a-filter", "holds-the-pipe"} <= done.plants_run()
