"""Finds the files that shell commands name, such as scripts/check.sh in `sh scripts/check.sh`."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

_WORD: Final = re.compile(r"[\w.@+/-]+")
_MODULE: Final = re.compile(r"-m\s+([\w.]+)")
_OTHER_FOLDER: Final = re.compile(r"(?:^|[;&|(\s])(?:cd|pushd)\s|\s(?:-C|--directory|--prefix)[\s=]")


_PLAIN: Final = re.compile(r"[^|;`$(){}\"'\\\n]*")
"""Matches a command that is a chain of simple commands, each of which must succeed."""

_ABSENCE: Final = re.compile(
    r"\s*(?:test\s+!\s+-[defs]\s+\S+|!\s+test\s+-[defs]\s+\S+|\[\s+!\s+-[defs]\s+\S+\s+\]|!\s+\[\s+-[defs]\s+\S+\s+\])\s*"
)
"""Matches a simple command that fails if a file is there."""


def without_absences(command: str) -> str:
    """Return a command without the parts that only fail if a file is there, such as `test ! -e slow`.

    A change that adds such a file can only make the command fail.
    """
    if not _PLAIN.fullmatch(command):
        return command
    return "&&".join(part for part in command.split("&&") if not _ABSENCE.fullmatch(part))


def words_in(text: str) -> set[str]:
    """Return the words of commands that may be paths."""
    return {str(PurePosixPath(word)) for word in _WORD.findall(text)}


def named_files(commands: Iterable[str], paths: Iterable[str]) -> set[str]:
    """Return those of the paths that a command names: as a word, or as a Python module after -m.

    Where a command changes to another folder, a path counts as soon as its end is named.
    """
    words, ends = set[str](), set[str]()
    for command in commands:
        own = words_in(command)
        for module in _MODULE.findall(command):
            path = module.replace(".", "/")
            own |= {f"{path}.py", f"{path}/__main__.py"}
        words |= own
        if _OTHER_FOLDER.search(command):
            ends |= {word for word in own if "." in word or "/" in word}
    return {path for path in paths if path in words or any(path.endswith(f"/{end}") for end in ends)}
