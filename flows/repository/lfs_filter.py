"""Creates git's filter for files of Git LFS: a script, and the folder of the objects that the script reads and writes.

In a checkout, git passes a pointer to the script and gets the object. When git adds a file, it passes the content and
gets a pointer, and the script puts the object into the folder. The script belongs to the flow's process, and git runs
the script only as the agent's user. It needs no program of Git LFS.
"""

import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from flows.repository.lfs_pointers import POINTER_START
from flows.sandbox.workspace import Workspace

_READ_ONLY: Final = 0o444
_SCRIPT: Final = """\
set -eu
export LC_ALL=C
path_of() {{
  rest=${{1#??}}
  last=${{rest#??}}
  path=$store/objects/${{1%"$rest"}}/${{rest%"$last"}}/$1
}}
version={version}
store={store}
[ -d "$store/objects" ] || mkdir -p "$store/objects"
file=$store/incoming.$$
trap 'rm -f "$file"' EXIT
dd bs=1 count=1024 of="$file" 2> /dev/null
first= second= third= more=
{{ IFS= read -r first && IFS= read -r second && IFS= read -r third && IFS= read -r more; }} < "$file" || :
if [ "$1" = smudge ] && [ "$first" = "$version" ] && [ -z "$more" ]; then
  oid=
  case $second in "oid sha256:"*) oid=${{second#oid sha256:}} ;; esac
  case $oid in *[!0-9a-f]*) oid= ;; esac
  case $third in "size "*) ;; *) oid= ;; esac
  if [ ${{#oid}} -eq 64 ]; then
    path_of "$oid"
    if [ -f "$path" ]; then
      rm -f "$file"
      exec cat "$path"
    fi
  fi
fi
cat >> "$file"
if [ "$1" = clean ]; then
  size=$(($(wc -c < "$file")))
  if [ "$size" -ge 1024 ] || {{ [ "$size" -gt 0 ] && [ "$first" != "$version" ]; }}; then
    oid=$(if command -v sha256sum > /dev/null; then sha256sum < "$file"; else shasum -a 256 < "$file"; fi)
    oid=${{oid%% *}}
    path_of "$oid"
    mkdir -p "${{path%/*}}"
    mv -f "$file" "$path"
    printf '%s\\noid sha256:%s\\nsize %s\\n' "$version" "$oid" "$size"
    exit 0
  fi
fi
cat "$file"
"""
_CONFIG: Final = """\
[filter "lfs"]
\tclean = "{command} clean"
\tsmudge = "{command} smudge"
\trequired = true
[lfs]
\tstorage = "{store}"
"""


def create_filter(workspace: Workspace, objects: Mapping[str, Path]) -> None:
    """Create the folder of the objects, with hard links to objects of the trusted side, and the script of the filter.

    The agent can remove a link, but it cannot write to a linked file, which belongs to the flow's process.

    Args:
        workspace: The run's directories.
        objects: The files of the objects, by their SHA-256.
    """
    store = object_store(workspace)
    shutil.rmtree(store, ignore_errors=True)  # An earlier try may have left it.
    (store / "objects").mkdir(parents=True)
    targets = {object_path(workspace, oid): file for oid, file in objects.items()}
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
    store.chmod(0o700)
    workspace.agent.give(store)
    # Only after `give`, which would otherwise change the owner of the linked files as well.
    for target, file in targets.items():
        file.chmod(_READ_ONLY)
        os.link(file, target)
    version = POINTER_START.decode().strip()
    script = _SCRIPT.format(store=shlex.quote(str(store)), version=shlex.quote(version))
    workspace.lend(_script(workspace), script.encode())


def has_filter(workspace: Workspace) -> bool:
    """Whether the run has fetched the files of Git LFS, so that git has the filter."""
    return _script(workspace).exists()


def filter_config(workspace: Workspace) -> str:
    """Return the git configuration with the filter; empty if the run does not fetch the files of Git LFS.

    Programs of Git LFS, if the agent calls them, use the same folder of objects.
    """
    if not has_filter(workspace):
        return ""
    command = f"sh {shlex.quote(str(_script(workspace)))}"
    return _CONFIG.format(command=_escape(command), store=_escape(str(object_store(workspace))))


def fetched_objects(workspace: Workspace) -> Path:
    """Return the folder of the objects that were downloaded. The agent cannot enter it."""
    return workspace.trusted / "lfs"


def object_store(workspace: Workspace) -> Path:
    """Return the folder of the objects, which the agent can write to."""
    return workspace.root / "lfs"


def object_path(workspace: Workspace, oid: str) -> Path:
    """Return the path of an object, by its SHA-256."""
    return object_store(workspace) / "objects" / oid[:2] / oid[2:4] / oid


def _script(workspace: Workspace) -> Path:
    return workspace.config / "lfs-filter"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
