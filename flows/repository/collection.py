"""Creates a temporary repository in which git, running as the agent's user, commits the agent's work.

The agent's own repository must not decide what the work is. Its index may hide files, its configuration may change what
git sees, and its ignore rules may leave files out. Therefore the flow's process creates a new repository, with a safe
configuration and with the index that was saved right after the checkout. git adds the work tree to that index. The new
repository reads the objects of the agent's repository, which include the base, as an alternate. The timestamps in the
saved index tell git which files are unchanged, so that git reads only the others.
"""

import os
import re
import shlex
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from flows.repository.agent_git import run_as_agent, work_tree_command
from flows.repository.git_commands import run_git
from flows.repository.lfs_filter import filter_config
from flows.repository.submodule_checkout import module_objects
from flows.sandbox import commands
from flows.sandbox.workspace import Workspace

BUILD_FOLDERS: Final = (
    "node_modules", ".venv", "venv", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".tox", ".nox",
    ".gradle", ".m2", ".npm", ".pnpm-store", ".next", ".nuxt", ".turbo", ".parcel-cache", ".terraform",
)  # fmt: skip
"""Names of folders that tools fill. Files in such folders are part of a change only if the repository tracks them."""

_MARKER_DEPTH: Final = 5
SUBMODULE: Final = "160000"
_CONFIG: Final = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"
SECTION_END: Final = b"\0\0\0"
"""Marks the end of one part of a script's output. Within a part, each row ends with one zero byte."""

_SAVE_INDEX: Final = """
set -e
"$@" update-index -q --refresh || :
if ! "$@" diff-files --quiet; then
    cp "$GIT_DIR/index" "$GIT_DIR/normalized.index"
    GIT_INDEX_FILE="$GIT_DIR/normalized.index" "$@" add --update
    "$@" diff-files --name-only -z | GIT_INDEX_FILE="$GIT_DIR/normalized.index" xargs -0 \
        env GIT_LITERAL_PATHSPECS=1 "$@" ls-files --stage -z --
    rm -f "$GIT_DIR/normalized.index"
fi
printf '\\000\\000\\000'
cat "$GIT_DIR/index"
"""


@dataclass(frozen=True)
class Entry:
    """The mode and the object id that a git tree or index has for one path."""

    mode: str
    blob: str


def save_index(workspace: Workspace) -> None:
    """Save the index right after a checkout, and the new entries of files that git already reports as changed.

    git reports a file as changed if git would store it differently than the commit does, for example because the
    attribute `text` was added after the file.
    """
    git_dir = workspace.work_tree / ".git"
    command = ["sh", "-c", _SAVE_INDEX, "sh", *work_tree_command(workspace)]
    output = run_as_agent(workspace, command, environment={"GIT_DIR": str(git_dir)}, beside_agent=True).stdout
    normalized, _, index = output.partition(SECTION_END)
    # The last row of the first part has a zero byte of its own, so that there may be one more.
    _saved_index(workspace).write_bytes(index.lstrip(b"\0"))
    # git compares the content of each file whose timestamp is not older than the index: with a later timestamp it would
    # miss a change in the second of the checkout.
    written_at = (git_dir / "index").lstat().st_mtime_ns
    os.utime(_saved_index(workspace), ns=(written_at, written_at))
    _saved_normalized(workspace).write_bytes(normalized)


def normalized_entries(workspace: Workspace) -> Mapping[str, Entry]:
    """Return, by path, the entries that `save_index` saved for files that git reported as changed at that time."""
    path = _saved_normalized(workspace)
    return parse_stage(path.read_bytes()) if path.exists() else {}


def create_repository(workspace: Workspace, name: str) -> Path:
    """Create the temporary repository `name`, owned by the agent, and return its directory; replace an older one.

    The parent directory belongs to the flow's process, so the agent cannot put a link at this path during the creation.
    """
    repository = workspace.root / name
    shutil.rmtree(repository, ignore_errors=True)
    repository.mkdir(mode=0o700)  # The agent may be at work, and must not change anything before it owns everything.
    for folder in ("objects/info", "refs", "info"):
        (repository / folder).mkdir(parents=True)
    (repository / "HEAD").write_text("ref: refs/heads/collection\n")
    (repository / "config").write_text(_CONFIG + filter_config(workspace))
    alternates = (_agent_objects(workspace), *module_objects(workspace))
    (repository / "objects" / "info" / "alternates").write_text("".join(f"{path}\n" for path in alternates))
    (repository / "info" / "exclude").write_text("".join(f"{folder}/\n" for folder in BUILD_FOLDERS))
    for source, target in ((_saved_index(workspace), "index"), (workspace.clean_git / "shallow", "shallow")):
        if source.exists():
            shutil.copy2(source, repository / target)
    workspace.agent.give(repository)
    return repository


def _agent_objects(workspace: Workspace) -> str:
    """Return the directory of the agent's git objects, even if the agent moved its repository and `.git` is a file."""
    git_dir = workspace.work_tree / ".git"
    if git_dir.is_dir():
        return str(git_dir / "objects")
    return run_as_agent(workspace, [*work_tree_command(workspace), "rev-parse", "--git-path", "objects"]).text


def exclude_environments(workspace: Workspace, repository: Path) -> None:
    """Exclude Python environments and caches from the commit of the work tree, whatever the names of their folders.

    A Python environment has the file pyvenv.cfg (PEP 405), and a cache has the file CACHEDIR.TAG
    (https://bford.info/cachedir/). Files in such folders that the repository tracks are still committed.
    """
    names = ["-name", "pyvenv.cfg", "-o", "-name", "CACHEDIR.TAG"]
    find = ["find", str(workspace.work_tree), "-maxdepth", str(_MARKER_DEPTH), "(", *names, ")", "-print0"]
    output = commands.run(workspace, find).stdout.decode("utf-8", "surrogateescape")
    folders = {Path(path).parent.relative_to(workspace.work_tree) for path in output.split("\0") if path}
    patterns = [re.sub(r"([\\*?\[])", r"\\\1", f"/{folder}/\n") for folder in folders if folder != Path()]
    script = f"cat >> {shlex.quote(str(repository / 'info' / 'exclude'))}"
    with TemporaryFile() as rows:
        rows.write("".join(patterns).encode("utf-8", "surrogateescape"))
        rows.seek(0)
        commands.run(workspace, ["sh", "-c", script], stdin=rows)


def parse_stage(output: bytes) -> dict[str, Entry]:
    """Return the entries, by path, in the output of `git ls-files --stage -z`."""
    rows = (row.partition("\t") for row in output.decode("utf-8", "surrogateescape").split("\0") if row)
    return {path: Entry(*header.split(" ")[:2]) for header, _, path in rows}


def parse_raw_diff(output: bytes) -> dict[str, Entry]:
    """Return the new entries, by path, in the output of `git diff-index --raw -z`; git-diff(1) describes the format."""
    fields = output.decode("utf-8", "surrogateescape").split("\0")
    rows = zip(fields[::2], fields[1::2], strict=False)
    return {path: Entry(*(header.split(" ")[index] for index in (1, 3))) for header, path in rows if header}


def base_entries(workspace: Workspace, base: str, paths: Iterable[str]) -> dict[str, Entry]:
    """Return the entries of the paths in the commit `base`. The result lacks paths that the commit does not have."""
    listing = run_git(["ls-tree", "-r", "-z", base], git_dir=workspace.clean_git).text.split("\0")
    rows = (row.partition("\t") for row in listing if row)
    entries = {path: header.split(" ") for header, _, path in rows}
    return {path: Entry(entries[path][0], entries[path][2]) for path in paths if path in entries}


def _saved_index(workspace: Workspace) -> Path:
    return workspace.trusted / "checkout.index"


def _saved_normalized(workspace: Workspace) -> Path:
    return workspace.trusted / "checkout.normalized"
