"""The agent's work tree, cut from `clean.git`: a repository of its own, whose objects are the very same files.

A pack is written once and never changed. Ours are root's and read-only, and so are the agent's hard links to them: it
can remove its name for a pack, and neither write to the pack nor change its mode. So nothing is copied, whatever the
size of the repository. An agent that is not isolated could do both, and gets copies.
"""

import os
import shutil
from pathlib import Path
from typing import Final

from flows.repository.agent_git import git_as_agent
from flows.repository.git_commands import run_git
from flows.sandbox.workspace import Workspace

_READ_ONLY: Final = 0o444


def cut_work_tree(workspace: Workspace, repo_url: str, branch: str, base: str) -> None:
    """Make the repository as ourselves; check the files out as the agent, who could run anyway what that runs."""
    repository = workspace.work_tree / ".git"
    shutil.rmtree(repository, ignore_errors=True)  # of a try before this one
    arguments = ["init", "--quiet", "--template=", f"--initial-branch={branch}", str(workspace.work_tree)]
    run_git(arguments)
    with (repository / "config").open("a", encoding="utf-8") as config:
        config.write(_config(repo_url, branch))
    origin = f"refs/remotes/origin/{branch}"
    (repository / "packed-refs").write_text(f"{base} refs/heads/{branch}\n{base} {origin}\n")
    (repository / "refs" / "remotes" / "origin").mkdir(parents=True)
    (repository / "refs" / "remotes" / "origin" / "HEAD").write_text(f"ref: {origin}\n")
    if (shallow := workspace.clean_git / "shallow").exists():
        shutil.copyfile(shallow, repository / "shallow")
    folders = _make_folders(workspace.clean_git / "objects", repository / "objects")
    workspace.agent.give(workspace.work_tree)
    # After that, for whoever is given a link is given the file.
    for theirs, ours in folders.items():
        _put_objects(ours, theirs, are_linked=workspace.agent.uid is not None)
    # Nothing of the repository's runs here, since its configuration is the one above: there is nothing to end.
    checkout = ["-c", "checkout.workers=0", "reset", "--quiet", "--hard"]
    git_as_agent(workspace, *checkout, beside_agent=True)


def _config(repo_url: str, branch: str) -> str:
    url, name = (text.replace("\\", "\\\\").replace('"', '\\"') for text in (repo_url, branch))
    return f"""\
[user]
\tname = Claude Code
\temail = noreply@anthropic.com
[advice]
\tdetachedHead = false
[remote "origin"]
\turl = "{url}"
\tfetch = +refs/heads/*:refs/remotes/origin/*
[branch "{name}"]
\tremote = origin
\tmerge = "refs/heads/{name}"
"""


def _make_folders(ours: Path, theirs: Path) -> dict[Path, Path]:
    """Make the directories of a repository's objects; return each with the one that it is like."""
    folders = {theirs / folder.name: folder for folder in ours.iterdir() if folder.is_dir() and folder.name != "info"}
    for folder in folders:
        folder.mkdir(exist_ok=True)
    return folders


def _put_objects(ours: Path, theirs: Path, *, are_linked: bool) -> None:
    for file in ours.iterdir():
        if not are_linked:
            shutil.copy(file, theirs)
            continue
        file.chmod(_READ_ONLY)
        os.link(file, theirs / file.name)
