"""Reads the attributes that a commit's .gitattributes files give to paths (gitattributes(5))."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from flows.repository.git_commands import isolated_environment, run_git


def attribute_values(git_dir: Path, commit: str, attribute: str, paths: Sequence[str]) -> dict[str, str]:
    """Return the value of an attribute in a commit, by path; git-check-attr(1) lists the words for special values."""
    with TemporaryDirectory(dir=git_dir.parent) as folder, TemporaryFile() as names:
        environment = isolated_environment({"GIT_INDEX_FILE": f"{folder}/index"})
        run_git(["read-tree", commit], git_dir=git_dir, environment=environment)
        names.write("".join(f"{path}\0" for path in paths).encode("utf-8", "surrogateescape"))
        names.seek(0)
        arguments = ["check-attr", "--cached", "-z", "--stdin", attribute]
        fields = run_git(arguments, git_dir=git_dir, environment=environment, stdin=names).text.split("\0")
    return dict(zip(fields[::3], fields[2::3], strict=False))
