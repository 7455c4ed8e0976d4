"""Fetches a repository's submodules at their recorded commits, and puts their files into the agent's work tree.

Each submodule gets a trusted repository of its own, and a repository in `.git/modules` of the work tree with hard links
to the objects. The names of these folders are numbers, so that no text of the repository becomes a path of the trusted
side. All paths in the work tree are written as the agent's user.
"""

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import urljoin

from git import RemoteProgress

from flows.errors import InvalidRepoUrl, RunError, SubmoduleNotAllowed
from flows.parameters.addresses import RepoUrl
from flows.repository.agent_git import run_as_agent, work_tree_command
from flows.repository.git_commands import run_git
from flows.repository.objects import SUBMODULE, SYMLINK
from flows.repository.remote import Remote
from flows.sandbox.workspace import Workspace
from flows.text_safety import ASCII_CONTROLS

_MAX_LEVELS: Final = 5
_MAX_COUNT: Final = 100
_REF: Final = "refs/heads/submodule"
_FIELDS: Final = r"^submodule\..*\.(path|url)$"
_UNSAFE_TEXT: Final = re.compile(f"[{ASCII_CONTROLS}\\\\]|^-")
_UNSAFE_PARTS: Final = frozenset({"", ".", "..", ".git", "git~1"})
_WITHOUT_LFS: Final = ("-c", "filter.lfs.clean=", "-c", "filter.lfs.required=false")
"""Options of git. A submodule has no filter in its own repository, so with the filter it would seem to be changed."""

_CONFIG: Final = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
\tworktree = "{work_tree}"
[remote "origin"]
\turl = "{url}"
\tfetch = +refs/heads/*:refs/remotes/origin/*
"""


@dataclass(frozen=True)
class Submodule:
    """A submodule that was fetched."""

    path: str
    """The path in the work tree."""
    parent: str
    """The path of the submodule that contains this one; empty for a submodule of the repository itself."""
    name: str
    url: str
    commit: str
    git_dir: Path
    """The trusted repository with the submodule's objects."""


def fetch_submodules(workspace: Workspace, remote: Remote, base: str, depth: int) -> list[Submodule]:
    """Fetch the submodules of the commit `base`, and their submodules. Return them, each after the one it is in.

    A submodule may be in the folder of the run's own repository on the same server, or be a repository that the token's
    binding lists. The token is only sent for repositories that the binding allows.

    Raises:
        SubmoduleNotAllowed: A submodule has another address, or an unsafe name or path; or there are too many.
        RunError: A commit cannot be fetched.
    """
    fetched: list[Submodule] = []
    pending = [(workspace.clean_git, base, remote.url, "", 1)]
    while pending:
        git_dir, commit, url, prefix, level = pending.pop()
        for path, name, address, linked in _links(git_dir, commit):
            full_path = f"{prefix}{path}"
            if level > _MAX_LEVELS or len(fetched) >= _MAX_COUNT:
                raise SubmoduleNotAllowed(
                    f"the submodule {full_path!r} is one too many: a run fetches at most {_MAX_COUNT} submodules, in "
                    f"at most {_MAX_LEVELS} levels; turn submodules off"
                )
            _check_names(full_path, path, name)
            own_url = _allowed_url(full_path, address, url, remote)
            target = workspace.trusted / f"submodule-{len(fetched)}.git"
            _fetch(full_path, own_url, linked, target, remote, depth)
            fetched.append(Submodule(full_path, prefix.rstrip("/"), name, own_url.url, linked, target))
            pending.append((target, linked, own_url, f"{full_path}/", level + 1))
    return sorted(fetched, key=lambda submodule: submodule.path.count("/"))


def submodule_paths(git_dir: Path, commit: str) -> list[str]:
    """Return the paths of a commit's submodules; none if the commit has no file .gitmodules."""
    if not run_git(["ls-tree", "-z", commit, "--", ".gitmodules"], git_dir=git_dir).text:
        return []
    rows = run_git(["ls-tree", "-r", "-z", commit], git_dir=git_dir).text.split("\0")
    return [row.partition("\t")[2] for row in rows if row.startswith(f"{SUBMODULE} ")]


def _links(git_dir: Path, commit: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield path, name, address and commit of each link to a submodule in a commit."""
    rows = (row.partition("\t") for row in run_git(["ls-tree", "-r", "-z", commit], git_dir=git_dir).text.split("\0"))
    entries = {path: header.split(" ") for header, _, path in rows if path}
    links = {path: entry[2] for path, entry in entries.items() if entry[0] == SUBMODULE}
    if not links:
        return
    if ".gitmodules" not in entries or entries[".gitmodules"][0] == SYMLINK:
        raise SubmoduleNotAllowed(
            f"the submodule {min(links)!r} has no address: the repository has no file .gitmodules"
        )
    show = ["config", "-z", f"--blob={commit}:.gitmodules", "--get-regexp", _FIELDS]
    fields = dict(row.partition("\n")[::2] for row in run_git(show, git_dir=git_dir).text.split("\0") if row)
    names = {value: key[len("submodule.") : -len(".path")] for key, value in fields.items() if key.endswith(".path")}
    for path, linked in sorted(links.items()):
        name = names.get(path, "")
        yield path, name, fields.get(f"submodule.{name}.url", ""), linked


def _check_names(full_path: str, path: str, name: str) -> None:
    for kind, text in (("path", path), ("name", name)):
        parts = {part.lower().rstrip(". ") if part.strip(". ") else part for part in text.split("/")}
        if _UNSAFE_TEXT.search(text) or parts & _UNSAFE_PARTS:
            raise SubmoduleNotAllowed(
                f"the submodule {full_path!r} has no usable {kind} in .gitmodules ({text!r}): correct .gitmodules, or "
                "turn submodules off"
            )


def _allowed_url(path: str, address: str, parent: RepoUrl, remote: Remote) -> RepoUrl:
    if address.startswith(("./", "../")):
        address = urljoin(f"{parent.url}/", address)
    try:
        url = RepoUrl.parse(address)
    except InvalidRepoUrl as error:
        reason = str(error).replace("repo_url", "the address")
        raise SubmoduleNotAllowed(
            f"the submodule {path!r} cannot be fetched: {reason}; or turn submodules off"
        ) from None
    if remote.credentials.reaches(url, remote.url):
        return url
    folder = f"{remote.url.path.rpartition('/')[0]}/"
    raise SubmoduleNotAllowed(
        f"the submodule {path!r} is at {url}, outside {remote.url.origin}{folder}: add the address to the repositories "
        "in the git credentials, or turn submodules off"
    )


def _fetch(path: str, url: RepoUrl, commit: str, git_dir: Path, remote: Remote, depth: int) -> None:
    run_git(["init", "--quiet", "--bare", "--template=", str(git_dir)])
    refspec = f"+{commit}:{_REF}"
    try:
        source = Remote(url, remote.credentials, remote.trusted)
        source.fetch(git_dir, [refspec], depth, RemoteProgress())
    except RunError as error:
        raise type(error)(
            f"the submodule {path!r} at commit {commit[:12]} cannot be fetched: {error}; or turn submodules off"
        ) from None


def prepare_submodules(workspace: Workspace, submodules: Sequence[Submodule]) -> list[tuple[Path, Path]]:
    """Create the submodules' repositories in the work tree's `.git`, which the agent does not own yet.

    Returns:
        For each submodule: the directory of its objects in the trusted repository, and the one to link them into.
    """
    modules = workspace.work_tree / ".git" / "modules"
    folders = []
    for number, submodule in enumerate(submodules):
        module = modules / str(number)
        for folder in ("objects/info", "refs"):
            (module / folder).mkdir(parents=True)
        (module / "HEAD").write_text(f"{submodule.commit}\n")
        work_tree = os.path.relpath(workspace.work_tree / submodule.path, module)
        config = _CONFIG.format(work_tree=_escape(work_tree), url=_escape(submodule.url))
        (module / "config").write_text(config + submodule_config(submodules, submodule.path))
        if (shallow := submodule.git_dir / "shallow").exists():
            (module / "shallow").write_bytes(shallow.read_bytes())
        folders.append((submodule.git_dir / "objects", module / "objects"))
    rows = [{**asdict(submodule), "git_dir": str(submodule.git_dir)} for submodule in submodules]
    _saved(workspace).write_text(json.dumps(rows))
    return folders


def submodule_config(submodules: Sequence[Submodule], parent: str) -> str:
    """Return the git configuration for the submodules that are directly in the repository at the path `parent`."""
    return "".join(
        f'[submodule "{_escape(submodule.name)}"]\n\tactive = true\n\turl = "{_escape(submodule.url)}"\n'
        for submodule in submodules
        if submodule.parent == parent
    )


def check_out_submodules(workspace: Workspace) -> None:
    """Write the files of the submodules that `prepare_submodules` prepared into the work tree, as the agent's user."""
    script = ["set -e"]
    submodules = _checked_out(workspace)
    for number, (path, commit) in enumerate(submodules):
        folder = workspace.work_tree / path
        module = workspace.work_tree / ".git" / "modules" / str(number)
        depth = len(PurePosixPath(path).parts)
        # git stores no link where it stores a folder, but a file system that ignores case may show one.
        script += [f"test ! -L {shlex.quote(str(part))}" for part in reversed([folder, *folder.parents[: depth - 1]])]
        script.append(f"mkdir -p {shlex.quote(str(folder))}")
        link = f"gitdir: {os.path.relpath(module, folder)}"
        script.append(f"printf '%s\\n' {shlex.quote(link)} > {shlex.quote(str(folder / '.git'))}")
        # A setup that failed may have left another commit, or a lock.
        script.append(f"cd {shlex.quote(str(module))} && rm -f HEAD index *.lock && echo {commit} > HEAD && cd /")
        script.append(shlex.join([*work_tree_command(workspace, module, folder), "reset", "--quiet", "--hard"]))
    if submodules:
        run_as_agent(workspace, ["sh", "-c", "\n".join(script)], beside_agent=True)


def module_objects(workspace: Workspace) -> list[Path]:
    """Return the directories of the objects of the submodules' repositories in the work tree."""
    return [module / "objects" for _, module in submodule_repositories(workspace)]


def submodule_trees(workspace: Workspace, repository: Path, linked: Mapping[str, str]) -> dict[str, str]:
    """Return, by path, a tree with the files of each submodule that the agent changed or added.

    Args:
        workspace: The run's directories.
        repository: A temporary repository, which can read the objects of the submodules.
        linked: Such trees of the submodules whose links the agent changed, and of the submodules inside these.
    """
    relative = {path.removeprefix(f"{workspace.work_tree}/"): tree for path, tree in linked.items()}
    own = {path for path, _ in _checked_out(workspace)}
    return {
        **{path: tree for path, tree in relative.items() if path not in own},
        **_modified_submodules(workspace, repository),
    }


def _modified_submodules(workspace: Workspace, repository: Path) -> dict[str, str]:
    """Return, by path, a tree with the files of each checked-out submodule whose files differ from its commit."""
    submodules = _checked_out(workspace)
    if not submodules:
        return {}
    script = []
    for number, (path, commit) in enumerate(submodules):
        git = shlex.join([*work_tree_command(workspace, repository, workspace.work_tree / path), *_WITHOUT_LFS])
        script += [
            f"export GIT_INDEX_FILE={shlex.quote(str(repository / f'submodule-{number}.index'))}",
            f"if {git} read-tree {commit} 2>/dev/null; then",
            f"{git} add --all --ignore-errors . 2>/dev/null || :",
            f"{git} rev-parse '{commit}^{{tree}}'; {git} write-tree || echo none; else echo none; echo none; fi",
        ]
    lines = run_as_agent(workspace, ["sh", "-c", "\n".join(script)]).text.split("\n")
    pairs = zip(lines[::2], lines[1::2], strict=True)
    return {
        path: tree
        for (path, _), (recorded, tree) in zip(submodules, pairs, strict=True)
        if tree not in {recorded, "none"}
    }


def saved_submodules(workspace: Workspace) -> list[Submodule]:
    """Return the submodules that `prepare_submodules` prepared."""
    saved = _saved(workspace)
    rows = json.loads(saved.read_text()) if saved.exists() else []
    return [Submodule(**{**row, "git_dir": Path(row["git_dir"])}) for row in rows]


def submodule_repositories(workspace: Workspace) -> list[tuple[str, Path]]:
    """Return the path of each submodule, and the submodule's repository in the work tree's `.git`."""
    modules = workspace.work_tree / ".git" / "modules"
    return [(path, modules / str(number)) for number, (path, _) in enumerate(_checked_out(workspace))]


def _checked_out(workspace: Workspace) -> list[tuple[str, str]]:
    return [(submodule.path, submodule.commit) for submodule in saved_submodules(workspace)]


def _saved(workspace: Workspace) -> Path:
    return workspace.trusted / "checkout.submodules"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
