"""Creates the agent's work tree from `clean.git`: a separate repository that shares the object files by hard links.

git writes a pack once and never changes it. The packs of `clean.git` belong to root and are read-only, and the agent's
repository gets hard links to them. The agent can remove a link, but can neither write to the pack nor change its mode.
So nothing is copied, however large the repository is. An agent that is not isolated could change the packs, so its
repository gets copies.
"""

import json
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from flows.repository.agent_git import git_as_agent, run_as_agent, work_tree_command
from flows.repository.checkout_refs import write_refs
from flows.repository.collection import save_index
from flows.repository.git_commands import run_git
from flows.repository.lfs_filter import filter_config
from flows.repository.submodule_checkout import (
    Submodule,
    check_out_submodules,
    prepare_submodules,
    submodule_config,
)
from flows.sandbox.workspace import Workspace

_READ_ONLY: Final = 0o444
_CONFIG: Final = """\
[user]
\tname = Claude Code
\temail = noreply@anthropic.com
[advice]
\tdetachedHead = false
[remote "origin"]
\turl = "{url}"
\tfetch = +refs/heads/*:refs/remotes/origin/*
"""
_BRANCH_CONFIG: Final = """\
[branch "{name}"]
\tremote = origin
\tmerge = "refs/heads/{upstream}"
"""


def create_work_tree(
    workspace: Workspace,
    repo_url: str,
    branch: str,
    base: str,
    *,
    default_branch: str = "",
    upstream: str = "",
    submodules: Sequence[Submodule] = (),
) -> None:
    """Create the work tree's repository as the flow's user, then check out the files as the agent's user.

    A checkout can start programs that the repository chooses, so it has only the rights of the agent's user.

    Args:
        workspace: The run's directories. `clean.git` has what was fetched from the remote.
        repo_url: The URL of the remote, which the work tree's repository calls `origin`.
        branch: The branch to check out.
        base: The commit that the branch points to.
        default_branch: The remote's default branch; empty if it is not known.
        upstream: The branch of the remote that git compares `branch` with; empty for none.
        submodules: The submodules whose files the work tree shall have.
    """
    arguments = {"repo_url": repo_url, "branch": branch, "default_branch": default_branch, "upstream": upstream}
    _arguments_file(workspace).write_text(json.dumps(arguments))
    repository = workspace.work_tree / ".git"
    shutil.rmtree(repository, ignore_errors=True)  # An earlier try may have left a repository.
    run_git(["init", "--quiet", "--template=", f"--initial-branch={branch}", str(workspace.work_tree)])
    upstreams = {name: name for name in write_refs(workspace, branch, base, default_branch)}
    with (repository / "config").open("a", encoding="utf-8") as config:
        config.write(_config(repo_url, {**upstreams, branch: upstream}) + submodule_config(submodules, ""))
        config.write(filter_config(workspace))
    repositories = [(workspace.clean_git / "objects", repository / "objects")]
    repositories += prepare_submodules(workspace, submodules)
    folders = [
        (folder, target / folder.name)
        for source, target in repositories
        for folder in source.iterdir()
        if folder.is_dir() and folder.name != "info"
    ]
    for _, target in folders:
        target.mkdir(exist_ok=True)
    workspace.agent.give(workspace.work_tree)
    # Only after `give`, which would otherwise change the owner of the hard-linked files of clean.git as well.
    for source, target in folders:
        _add_objects(source, target, are_linked=workspace.agent.uid is not None)
    # With the configuration above git starts no program but the filter of Git LFS, so no process can be left behind.
    checkout = ["-c", "checkout.workers=0", "reset", "--quiet", "--hard"]
    git_as_agent(workspace, *checkout, beside_agent=True)
    save_index(workspace)
    check_out_submodules(workspace)


def saved_arguments(workspace: Workspace) -> dict[str, str]:
    """Return the arguments with which the work tree was created, as `create_work_tree` takes them, but not its base.

    Raises:
        FileNotFoundError: This process has created no work tree.
    """
    arguments: dict[str, str] = json.loads(_arguments_file(workspace).read_text())
    return arguments


def renew_work_tree(workspace: Workspace, branch: str, base: str) -> None:
    """Put the files of the work tree, and the agent's other directories, back to what they were after the checkout.

    The processes of the agent's user must have ended. The configuration of the repository in the work tree stays as it
    is, and so do other branches and tags there.
    """
    folders = shlex.join(map(str, (workspace.work_tree, workspace.home, workspace.tmp)))
    git = shlex.join(work_tree_command(workspace))
    keep = shlex.quote(str(workspace.work_tree / ".git"))
    script = (
        f"chmod -R u+rwX {folders} 2>/dev/null\nset -e\n"
        f"find {folders} -mindepth 1 -maxdepth 1 ! -path {keep} -exec rm -rf {{}} +\n"
        f"rm -rf {keep}/index {keep}/*.lock\n"
        f"{git} symbolic-ref HEAD {shlex.quote(f'refs/heads/{branch}')}\n"
        f"{git} reset --quiet --hard {base}"
    )
    run_as_agent(workspace, ["sh", "-c", script])
    check_out_submodules(workspace)
    workspace.agent.end_processes()


def _arguments_file(workspace: Workspace) -> Path:
    return workspace.trusted / "checkout.arguments"


def _config(repo_url: str, upstreams: Mapping[str, str]) -> str:
    sections = [_CONFIG.format(url=_escape(repo_url))]
    for name, upstream in upstreams.items():
        if upstream:
            sections.append(_BRANCH_CONFIG.format(name=_escape(name), upstream=_escape(upstream)))
    return "".join(sections)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _add_objects(source: Path, target: Path, *, are_linked: bool) -> None:
    for file in source.iterdir():
        if not are_linked:
            shutil.copy(file, target)
            continue
        file.chmod(_READ_ONLY)
        os.link(file, target / file.name)
