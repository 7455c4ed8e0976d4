"""Gives Claude Code the skills, subagents and commands of the repository, read from the base commit.

Claude Code runs with `--setting-sources=user`, so it loads them from its configuration folder only, and not from the
work tree. https://docs.claude.com/en/docs/claude-code (skills, sub-agents, slash-commands) describes the files.
"""

import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import Final

from flows.agent.command import SEARCH_TOOLS, TOOLS
from flows.agent.extension_text import permitted_tools, rewritten
from flows.repository.commit_files import CommitFile, CommitFiles
from flows.repository.front_matter import Document, parse, text_of
from flows.sandbox import commands
from flows.sandbox.workspace import Workspace
from flows.text_safety import is_encodable, one_line

MAX_FILES: Final = 100
MAX_BYTES: Final = 2**20

BUILT_IN_SUBAGENTS: Final = frozenset(
    {"claude", "claude-code-guide", "explore", "fork", "general-purpose", "plan", "statusline-setup"}
)
"""The names of Claude Code's own subagents, in lower case. One of the repository would replace it."""

_FOLDER: Final = ".claude"
_TOOLS: Final = (*TOOLS, *SEARCH_TOOLS)
"""The tools that a subagent may name. It gets no others."""

_KINDS: Final = ("skills", "agents", "commands")
_NO_FILE: Final = "which is a link or a submodule"
_SKILL_FILE: Final = "SKILL.md"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_DEPTH: Final = 4
_MAX_COMPONENT_BYTES: Final = 255
_MAX_SHOWN: Final = 120


@dataclass(frozen=True)
class ExtensionFile:
    """One file for Claude Code's configuration folder."""

    path: str
    """The path below the configuration folder, such as `skills/release/SKILL.md`."""
    content: bytes
    is_executable: bool = False


@dataclass(frozen=True)
class Extensions:
    """The extensions of a repository, as a run uses them."""

    files: list[ExtensionFile] = field(default_factory=list)
    skills: list[str] = field(default_factory=list)
    subagents: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    tools: set[str] = field(default_factory=set)
    """The tools that the subagents name."""
    left_out: list[str] = field(default_factory=list)
    """What was left out, and why."""


def write_extensions(workspace: Workspace, extensions: Extensions) -> None:
    """Write the files to Claude Code's configuration folder, as the agent's user, who owns that folder.

    Raises:
        CommandFailed: The files cannot be written.
    """
    if not extensions.files:
        return
    with TemporaryFile() as archive:
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for file in extensions.files:
                entry = tarfile.TarInfo(file.path)
                entry.size, entry.mode = len(file.content), 0o755 if file.is_executable else 0o644
                tar.addfile(entry, BytesIO(file.content))
        archive.seek(0)
        script = 'mkdir -p "$1" && cd "$1" && rm -rf skills agents commands && tar -x -f -'
        command = ["sh", "-c", script, "sh", str(workspace.claude_folder)]
        result = commands.run(workspace, command, stdin=archive)
    commands.check(result, "give the repository's skills, subagents and commands to Claude Code")


def read_extensions(git_dir: Path, commit: str) -> Extensions:
    """Return the extensions of a commit. `git_dir` is a repository with the commit."""
    return _Reader(CommitFiles.of(git_dir, commit, _FOLDER)).read()


@dataclass
class _Reader:
    commit: CommitFiles
    result: Extensions = field(default_factory=Extensions)
    files_left: int = MAX_FILES
    bytes_left: int = MAX_BYTES

    def read(self) -> Extensions:
        for kind in _KINDS:
            if (file := self.commit.find(f"{_FOLDER}/{kind}")) is not None:
                self._leave_out(file, _NO_FILE)
        skills = self.commit.below(f"{_FOLDER}/skills")
        definitions = [file for file in skills if file.path.count("/") == 3 and file.path.endswith(f"/{_SKILL_FILE}")]  # noqa: PLR2004
        markdown = [*self.commit.below(f"{_FOLDER}/agents"), *self.commit.below(f"{_FOLDER}/commands")]
        definitions += [file for file in markdown if file.path.endswith(".md")]
        for file, content in self._load(definitions):
            self._add_definition(file, parse(content.decode("utf-8", "replace")))
        defined = set(definitions)
        self._add_resources(file for file in skills if file not in defined)
        return self.result

    def _load(self, files: list[CommitFile]) -> Iterator[tuple[CommitFile, bytes]]:
        """Yield the regular files and their content, as long as they are within the limits."""
        sizes, within = self.commit.sizes(file for file in files if file.is_regular), list[CommitFile]()
        for file in files:
            if not file.is_regular:
                self._leave_out(file, _NO_FILE)
            elif not self.files_left or sizes[file.blob] > self.bytes_left:
                self._leave_out(file, f"over the limit of {MAX_FILES} files and {MAX_BYTES >> 20} MiB")
            else:
                self.files_left -= 1
                self.bytes_left -= sizes[file.blob]
                within.append(file)
        contents = self.commit.contents(within)
        yield from ((file, contents[file.blob]) for file in within)

    def _add_definition(self, file: CommitFile, document: Document) -> None:
        path = PurePosixPath(file.path)
        kind = path.parts[1]
        if text_of(document.fields.get("disable-model-invocation")).lower() == "true":
            self._leave_out(file, "which only people may start")
        elif kind == "skills":
            self._add_skill(file, document, path.parts[2])
        elif kind == "agents":
            self._add_subagent(file, document)
        else:
            self._add_command(file, document, path.with_suffix("").parts[2:])

    def _add_subagent(self, file: CommitFile, document: Document) -> None:
        name = text_of(document.fields.get("name"))
        permitted, others = permitted_tools(document.fields, _TOOLS)
        if not name or not text_of(document.fields.get("description")):
            self._leave_out(file, "whose front matter has no name or no description")
        elif name.lower() in BUILT_IN_SUBAGENTS:
            self._leave_out(file, "which has the name of a subagent of Claude Code")
        elif permitted == []:
            self._leave_out(file, "whose tools do not exist in a run")
        elif self._is_new(file, [name], self.result.subagents):
            text, left_out = rewritten(document, name, permitted)
            left_out += [f"the tool {tool}" for tool in others]
            self._add(file, f"agents/{name}.md", text, left_out)
            self.result.subagents.append(name)
            self.result.tools.update(permitted or ())

    def _add_skill(self, file: CommitFile, document: Document, name: str) -> None:
        if self._is_new(file, [name], self.result.skills):
            self._add(file, f"skills/{name}/{_SKILL_FILE}", *rewritten(document, name))
            self.result.skills.append(name)

    def _add_command(self, file: CommitFile, document: Document, parts: tuple[str, ...]) -> None:
        if len(parts) > _MAX_DEPTH or parts[-1].lower() == "skill":
            self._leave_out(file, "which has an unusual name")
        elif self._is_new(file, parts, [*self.result.skills, *self.result.commands]):
            self._add(file, f"commands/{'/'.join(parts)}.md", *rewritten(document, ""))
            self.result.commands.append(":".join(parts))

    def _is_new(self, file: CommitFile, parts: Sequence[str], names: list[str]) -> bool:
        """Return whether the name is usual and free. On some file systems, letter case makes no difference."""
        if not all(_NAME.fullmatch(part) for part in parts):
            self._leave_out(file, "which has an unusual name")
        elif ":".join(parts).lower() in (other.lower() for other in names):
            self._leave_out(file, "whose name is taken")
        else:
            return True
        return False

    def _add_resources(self, files: Iterable[CommitFile]) -> None:
        """Add the other files of the skills, such as scripts, unchanged. Claude Code itself does not read them."""
        resources = list[CommitFile]()
        for file in files:
            parts = PurePosixPath(file.path).parts[2:]
            if parts[0] not in self.result.skills:
                if len(parts) == 1 and not file.is_regular:
                    self._leave_out(file, _NO_FILE)
            elif all(_is_usual(part) for part in parts):
                resources.append(file)
            else:
                self._leave_out(file, "which has an unusual name")
        for file, content in self._load(resources):
            path = file.path.removeprefix(f"{_FOLDER}/")
            self.result.files.append(ExtensionFile(path, content, file.is_executable))

    def _add(self, file: CommitFile, path: str, text: str, left_out: list[str]) -> None:
        self.result.files.append(ExtensionFile(path, text.encode("utf-8", "replace")))
        if left_out:
            self._leave_out(file, f"of which {', '.join(left_out)}")

    def _leave_out(self, file: CommitFile, why: str) -> None:
        self.result.left_out.append(f"{one_line(file.path)[:_MAX_SHOWN]}, {why}")


def _is_usual(name: str) -> bool:
    """Return whether a file or folder of a skill may have this name.

    A hidden folder such as `.claude-plugin` would make the skill a plugin, which can start programs.
    """
    is_plain = not name.startswith(".") and one_line(name) == name and is_encodable(name)
    # The letter case of the file name makes no difference on some file systems.
    return is_plain and len(name.encode()) <= _MAX_COMPONENT_BYTES and name.casefold() != _SKILL_FILE.casefold()
