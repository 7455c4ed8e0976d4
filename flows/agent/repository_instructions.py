"""Reads all that a repository says to coding agents: its CLAUDE.md with what belongs to it, and its extensions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flows.agent.extensions import Extensions, read_extensions
from flows.repository.project_memory import ProjectMemory, project_memory

_MAX_NAMES: Final = 20


@dataclass(frozen=True)
class RepositoryInstructions:
    """What a commit says to coding agents."""

    memory: ProjectMemory
    extensions: Extensions

    @property
    def summary(self) -> str:
        """What a run uses, such as `CLAUDE.md, 2 rules, 1 skill`; empty if there is nothing."""
        return ", ".join(self._summary())

    @property
    def names(self) -> str:
        """The same in full, with the names of files and extensions; empty if there is nothing."""
        extensions = self.extensions
        kinds = {"skill": extensions.skills, "subagent": extensions.subagents, "command": extensions.commands}
        return shortened([*self._memory(_MAX_NAMES), *(f"{kind} {name}" for kind in kinds for name in kinds[kind])])

    @property
    def left_out(self) -> str:
        """What a run does not use, and why; empty if it uses everything."""
        return shortened([*self.memory.left_out, *self.extensions.left_out], separator="; ")

    def _summary(self) -> Iterator[str]:
        yield from self._memory(3)
        yield from _count(len(self.extensions.skills), "skill")
        yield from _count(len(self.extensions.subagents), "subagent")
        yield from _count(len(self.extensions.commands), "command")

    def _memory(self, maximum: int) -> Iterator[str]:
        files = self.memory.files
        yield from files[:maximum]
        yield from _count(len(files[maximum:]), "more file")
        yield from _count(self.memory.rules, "rule")
        yield from _count(self.memory.listed, "listed file")


def read_repository_instructions(git_dir: Path, commit: str) -> RepositoryInstructions:
    """Return what a commit says to coding agents."""
    return RepositoryInstructions(project_memory(git_dir, commit), read_extensions(git_dir, commit))


def shortened(items: Sequence[str], separator: str = ", ") -> str:
    """Return the first items as one text, and how many there are beyond."""
    rest = [f"and {len(items) - _MAX_NAMES} more"] if len(items) > _MAX_NAMES else []
    return separator.join([*items[:_MAX_NAMES], *rest])


def _count(number: int, noun: str) -> list[str]:
    return [f"{number} {noun}{'s' if number > 1 else ''}"] if number else []
