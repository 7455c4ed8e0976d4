"""Commits of git's real objects, made from texts."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

_IDENTITY = {f"GIT_{role}_{key}": "x" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder; return its output."""
    isolation = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    environment = {"PATH": os.environ["PATH"], **_IDENTITY, **isolation}
    result = subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True)
    return result.stdout.decode().strip()


def commit_of(folder: Path, files: Mapping[str, str | bytes | Path]) -> str:
    """Commit files to a new repository in `folder`; return the commit. A path as a value makes a link to that path."""
    git(folder, "init", "--quiet")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            path.symlink_to(content)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            path.chmod(0o755 if name.endswith(".sh") else 0o644)
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--allow-empty", "--message=x")
    return git(folder, "rev-parse", "HEAD")
