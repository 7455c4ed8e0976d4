"""Creates the agent's work tree from `clean.git`: a separate repository that shares the object files by hard links.

git writes a pack once and never changes it. The packs of `clean.git` belong to root and are read-only, and the agent's
repository gets hard links to them. The agent can remove a link, but can neither write to the pack nor change its mode.
So nothing is copied, however large the repository is. An agent that is not isolated could change the packs, so its
repository gets copies.
"""

import os
import shutil
from pathlib import Path
from typing import Final

from flows.repository.agent_git import git_as_agent
from flows.repository.collection import save_index
from flows.repository.git_commands import run_git
from flows.sandbox.workspace import Workspace

_READ_ONLY: Final = 0o444


def create_work_tree(workspace: Workspace, repo_url: str, branch: str, base: str) -> None:
    """Create the work tree's repository as the flow's user, then check out the files as the agent's user.

    A checkout can start programs that the repository chooses, so it has only the rights of the agent's user.
    """
    repository = workspace.work_tree / ".git"
    shutil.rmtree(repository, ignore_errors=True)  # An earlier try may have left a repository.
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
    objects = workspace.clean_git / "objects"
    folders = [folder for folder in objects.iterdir() if folder.is_dir() and folder.name != "info"]
    for folder in folders:
        (repository / "objects" / folder.name).mkdir(exist_ok=True)
    workspace.agent.give(workspace.work_tree)
    # Only after `give`, which would otherwise change the owner of the hard-linked files of clean.git as well.
    for folder in folders:
        _add_objects(folder, repository / "objects" / folder.name, are_linked=workspace.agent.uid is not None)
    # With the configuration above git starts no program, so no process can be left behind.
    checkout = ["-c", "checkout.workers=0", "reset", "--quiet", "--hard"]
    git_as_agent(workspace, *checkout, beside_agent=True)
    save_index(workspace)


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


def _add_objects(source: Path, target: Path, *, are_linked: bool) -> None:
    for file in source.iterdir():
        if not are_linked:
            shutil.copy(file, target)
            continue
        file.chmod(_READ_ONLY)
        os.link(file, target / file.name)
