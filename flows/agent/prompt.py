"""The words that Claude Code is given. Pure text in, text out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

_LISTED_FILES: Final = 200
_EMBEDDED_MAX_CHARACTERS: Final = 200_000

SYSTEM_PROMPT: Final = """\
You work unattended: nobody reads along, and nobody can answer a question. Decide by yourself, and say at the end what \
you decided. Your work is what the files in the working directory are when you finish. Commit and push are done for \
you afterwards; you have no credentials for the remote. Do not wait for background work: finish it, or leave it out.
"""


LOST_CONVERSATION: Final = """\
This was begun before: the work so far is in the working directory, and the conversation about it is lost. Look at \
what is done, and go on from there.
"""


def system_prompt(project_memory: str) -> str:
    """Return what is appended to Claude Code's own system prompt: our rules, and the repository's word to agents."""
    if not project_memory:
        return SYSTEM_PROMPT
    return f"{SYSTEM_PROMPT}\nThe repository's own instructions to coding agents follow.\n\n{project_memory}"


def prompt(directory: Path, main: str, main_text: str, others: Sequence[str]) -> str:
    """Return the user's prompt.

    Args:
        directory: Where the instruction files are.
        main: Path below `directory` of the file to begin with; empty where no file stands out.
        main_text: That file's content.
        others: Paths below `directory` of the other files.
    """
    parts = [f"Implement the requirements in the directory {directory}, in the repository in the working directory."]
    if main and len(main_text) <= _EMBEDDED_MAX_CHARACTERS:
        parts.append(f"The instructions, from {directory / main}:\n\n<instructions>\n{main_text}\n</instructions>")
    elif main:
        parts.append(f"Begin by reading all of {directory / main}: it holds the instructions.")
    else:
        parts.append("Begin by reading every file there: together they are the instructions.")
    if others:
        parts.append(f"Files beside it, which the instructions may name by these paths:\n{_listing(directory, others)}")
    return "\n\n".join(parts) + "\n"


def continuation(work_tree: Path, instructions: Path) -> str:
    """Return the prompt for a session that was interrupted, and may go on with other paths on another machine.

    Args:
        work_tree: Where the work is now.
        instructions: The directory of the instruction files now.
    """
    return f"""\
You were interrupted, and may be on another machine than before. The working directory is {work_tree}, and the \
instructions are in {instructions}: other paths to them are out of date. Running processes are gone, files that git \
ignores may be, your last step may be missing. Look at what is done, and go on until the requirements are implemented.
"""


def _listing(directory: Path, paths: Sequence[str]) -> str:
    lines = [f"- {path}: {directory / path}" for path in paths[:_LISTED_FILES]]
    if len(paths) > _LISTED_FILES:
        lines.append(f"- and {len(paths) - _LISTED_FILES} more: list the directory")
    return "\n".join(lines)
