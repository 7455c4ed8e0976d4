"""Searches the files of a commit for byte strings."""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile

from flows.repository.git_commands import check_git, command_line, execute_git, run_git

_NOTHING_FOUND = 1
"""The exit status of `git grep` if no line matches."""


def occurrences(git_dir: Path, commit: str, lines: Iterable[bytes]) -> set[bytes]:
    """Return which of some lines of text occur in a file of a commit, or in the name of one."""
    wanted = {line for line in lines if line and b"\n" not in line and b"\0" not in line}
    if not wanted:
        return set()
    with TemporaryFile() as patterns:
        # Not on the command line, which other users can read.
        patterns.write(b"\n".join(sorted(wanted)))
        patterns.seek(0)
        options = ["--fixed-strings", "--text", "--only-matching", "-h", "-f", "-"]
        result = execute_git(command_line(["grep", *options, commit], git_dir=git_dir), stdin=patterns)
    if result.status != _NOTHING_FOUND:
        check_git(result)
    names = run_git(["ls-tree", "-r", "-t", "-z", "--name-only", commit], git_dir=git_dir).stdout
    # Of two lines that match at one place git prints the longer one.
    return {line for line in wanted if line in result.stdout or line in names}
