"""Reads what a repository says to coding agents: its CLAUDE.md or AGENTS.md, what they import, and its rules.

Everything comes from the objects of the base commit, because a link in a work tree could point to any file of this
machine. So no link is followed, except that CLAUDE.md itself may be a link to a file of the repository.
"""

import posixpath
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from flows.repository.commit_files import CommitFile, CommitFiles
from flows.repository.front_matter import parse, text_of
from flows.repository.memory_imports import Outside, candidates, imports_in
from flows.text_safety import one_line, printable

_MAIN: Final = ("CLAUDE.md", ".claude/CLAUDE.md")
_INSTEAD: Final = "AGENTS.md"
"""The file that Claude Code reads if a repository has none of `_MAIN`."""

_RULES: Final = ".claude/rules"
_MAX_BYTES: Final = 200_000
"""How many bytes of all files together are used."""

_MAX_CUT_BYTES: Final = 4 * 2**20
"""The size up to which a main file is read, to use its beginning."""

_MAX_FILES: Final = 100
_MAX_IMPORTS: Final = 500
_MAX_DEPTH: Final = 5
_MAX_LISTED: Final = 100
_MAX_NAME: Final = 300


@dataclass(frozen=True)
class ProjectMemory:
    """The text for the agent, and what it was made of."""

    text: str
    """Empty if the repository says nothing to coding agents."""
    files: tuple[str, ...]
    """The paths of the files whose text is in `text`."""
    rules: int
    """How many rules of `.claude/rules` are in `text`, or are listed there."""
    listed: int
    """How many files of subfolders are listed in `text`."""
    left_out: tuple[str, ...]
    """What was left out, and why."""


def project_memory(git_dir: Path, commit: str) -> ProjectMemory:
    """Return what the files of a commit say to coding agents."""
    reader = _Reader(CommitFiles.of(git_dir, commit))
    for path in _MAIN:
        reader.add_main(path)
    if not reader.paths:
        reader.add_main(_INSTEAD)
    rules = reader.add_rules()
    nested = reader.nested()
    parts = [*reader.sections, _list("Read these files before you work on files that match their patterns:", rules)]
    parts.append(_list("Read each of these files before you work in its folder:", nested))
    text = "\n\n".join(part for part in parts if part)
    return ProjectMemory(
        f"{text}\n" if text else "",
        tuple(path for path in reader.paths if not path.startswith(f"{_RULES}/")),
        len(rules) + sum(path.startswith(f"{_RULES}/") for path in reader.paths),
        len(nested),
        tuple(reader.left_out),
    )


@dataclass
class _Reader:
    """Collects the text of files, each once, up to the limits."""

    commit: CommitFiles
    sections: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    blobs: set[str] = field(default_factory=set)
    """The blobs that were read. Two files with the same content are one."""
    contents: dict[str, bytes] = field(default_factory=dict)
    """The content of blobs that were read in advance."""
    space: int = _MAX_BYTES
    imports: int = 0

    def add_main(self, path: str) -> None:
        """Add a file with this path, and what it imports. The file may be a link to another one."""
        file = self.commit.find(path)
        if file is not None and file.is_link:
            file = self._target(file)
        if file is not None and (text := self._text(file, cut=True)):
            self._add(file, text, importer="")

    def add_rules(self) -> list[str]:
        """Add the rules that are for all files; return a line for each rule that is for some files only."""
        lines = []
        for file in self._rules():
            if not (text := self._text(file)):
                continue
            rule = parse(text)
            if not rule.is_readable:
                self._leave_out(f"the front matter of {_name(file.path)}, which is not YAML")
            if patterns := one_line(text_of(rule.fields.get("paths"))):
                lines.append(f"{_name(file.path)}: {patterns[:_MAX_NAME]}")
            elif rule.body.strip():
                self._add(file, rule.body, importer="")
        return lines

    def _rules(self) -> list[CommitFile]:
        """Return the files of rules, after all of them were read from git at once."""
        folder = self.commit.find(_RULES)
        files = [folder] if folder is not None else self.commit.below(_RULES)
        for file in files:
            if not file.is_regular:
                self._leave_out(f"{_name(file.path)}, which is a link or a submodule")
        files = [file for file in files if file.is_regular and file.path.endswith(".md")]
        if len(files) > _MAX_FILES:
            self._leave_out(f"{len(files) - _MAX_FILES} of {len(files)} rules")
        rules = files[:_MAX_FILES]
        sizes = self.commit.sizes(rules)
        self.contents |= self.commit.contents(file for file in rules if sizes[file.blob] <= _MAX_BYTES)
        return rules

    def nested(self) -> list[str]:
        """Return the paths of CLAUDE.md and AGENTS.md in subfolders. In one folder, two equal files are one."""
        files = [file for name in (_MAIN[0], _INSTEAD) for file in self.commit.named(name) if file.is_regular]
        unread = [file for file in files if file.path not in self.paths and not file.path.startswith(".claude/")]
        once = {(posixpath.dirname(file.path), file.blob): file.path for file in reversed(unread)}
        return [_name(path) for path in sorted(once.values(), key=lambda path: (path.count("/"), path))]

    def _target(self, link: CommitFile) -> CommitFile | None:
        target = self.commit.contents([link])[link.blob].decode("utf-8", "surrogateescape")
        path = next(candidates(link.path, target))
        file = None if isinstance(path, Outside) else self.commit.find(path)
        if file is None or not file.is_regular:
            self._leave_out(f"{_name(link.path)}, a link that leads to no file of the repository")
            return None
        return file

    def _add(self, file: CommitFile, text: str, *, importer: str, depth: int = 0) -> None:
        origin = f", which {_name(importer)} imports" if importer else ""
        self.sections.append(f"Contents of {_name(file.path)}{origin}:\n\n{text.strip()}")
        self.paths.append(file.path)
        self.space -= len(text)
        for path in imports_in(text):
            self._import(file.path, path, depth + 1)

    def _import(self, importer: str, path: str, depth: int) -> None:
        self.imports += 1
        if self.imports > _MAX_IMPORTS:
            return
        name = f"@{_name(path)} in {_name(importer)}"
        options = list(candidates(importer, path))
        files = [file for option in options if isinstance(option, str) and (file := self.commit.find(option))]
        if files:
            self._add_import(files[0], name, importer, depth)
        elif reasons := [option for option in options if isinstance(option, Outside)]:
            self._leave_out(f"{name}, {reasons[0].value}")
        elif posixpath.splitext(path)[1]:  # without a suffix, it is more likely the name of a person or a package
            self._leave_out(f"{name}, which does not exist")

    def _add_import(self, file: CommitFile, name: str, importer: str, depth: int) -> None:
        if file.path in self.paths:
            return
        if not file.is_regular:
            self._leave_out(f"{name}, which is a link or a submodule")
        elif depth > _MAX_DEPTH:
            self._leave_out(f"{name}, more than {_MAX_DEPTH} imports deep")
        elif text := self._text(file):
            self._add(file, text, importer=importer, depth=depth)

    def _text(self, file: CommitFile, *, cut: bool = False) -> str:
        """Return a file's text; empty if the file was read before, or must be left out.

        Args:
            file: The file to read.
            cut: Whether a text that is too long is cut, instead of left out.
        """
        if not file.is_regular or file.blob in self.blobs:
            return ""
        self.blobs.add(file.blob)
        if len(self.paths) >= _MAX_FILES:
            return self._leave_out(f"{_name(file.path)}, after {_MAX_FILES} files")
        content = self._content(file, _MAX_CUT_BYTES if cut else self.space)
        if content is None or (len(content) > self.space and not cut):
            return self._leave_out(f"{_name(file.path)}, which is too long")
        if b"\0" in content:
            return self._leave_out(f"{_name(file.path)}, which is not text")
        if len(content) > self.space:
            self._leave_out(f"the end of {_name(file.path)}, which is too long")
        text = printable(content[: self.space].decode("utf-8", "replace").removeprefix("\ufeff"))
        return text if text.strip() else ""

    def _content(self, file: CommitFile, limit: int) -> bytes | None:
        """Return a file's content; None if it is larger than the limit."""
        if file.blob in self.contents:
            return self.contents[file.blob]
        if self.commit.sizes([file])[file.blob] > limit:
            return None
        return self.commit.contents([file])[file.blob]

    def _leave_out(self, what: str) -> str:
        self.left_out.append(what)
        return ""


def _list(heading: str, lines: list[str]) -> str:
    rest = [f"- and {len(lines) - _MAX_LISTED} more"] if len(lines) > _MAX_LISTED else []
    return "\n".join([heading, *(f"- {line}" for line in lines[:_MAX_LISTED]), *rest]) if lines else ""


def _name(path: str) -> str:
    """Return a path as text for a log line or the agent."""
    return one_line(path)[:_MAX_NAME]
