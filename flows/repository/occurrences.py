"""Searches the files of a commit, both their contents and their names, for byte strings."""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile

from flows.repository.git_commands import check_git, command_line, execute_git, run_git

_NOTHING_FOUND = 1
"""The exit status of `git grep` if no line matches."""


def occurrences(git_dir: Path, commit: str, lines: Iterable[bytes]) -> set[bytes]:
    """Return those of the lines that occur in the content or the path of any file of a commit; empty if none does."""
    searched_lines = {line for line in lines if line and b"\n" not in line and b"\0" not in line}
    if not searched_lines:
        return set()
    with TemporaryFile() as patterns:
        # The patterns are not on the command line, because other users can read it.
        patterns.write(b"\n".join(sorted(searched_lines)))
        patterns.seek(0)
        options = ["--fixed-strings", "--text", "--only-matching", "-h", "-f", "-"]
        result = execute_git(command_line(["grep", *options, commit], git_dir=git_dir), stdin=patterns)
    if result.status != _NOTHING_FOUND:
        check_git(result)
    names = run_git(["ls-tree", "-r", "-t", "-z", "--name-only", commit], git_dir=git_dir).stdout
    # If two lines match at one place, git prints only the longer one.
    return {line for line in searched_lines if line in result.stdout or line in names}
