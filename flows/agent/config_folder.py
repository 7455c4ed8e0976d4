"""Creates Claude Code's configuration folder before each start, and reads the conversation from it.

Claude Code obeys what it finds in this folder: hooks run, and settings can redirect its requests to the model. So each
process of Claude Code gets a new folder, which is created when no process of the agent's user is alive. It holds the
conversation so far and nothing else. The conversation comes from this process and not from the old folder, because
commands that ran as the agent's user since then could have changed it there.
"""

import tempfile
from typing import Final

from flows.errors import CommandFailed
from flows.sandbox import commands
from flows.sandbox.workspace import Workspace

MAX_BYTES: Final = 512 * 2**20
"""The largest conversation, and the largest git bundle, that a checkpoint may contain, in bytes."""

_RESTORED: Final = "projects/-restored"
"""Claude Code looks for a conversation to resume in all folders of `projects`, and uses the id alone."""


def new_config_folder(workspace: Workspace, session_id: str, conversation: bytes) -> None:
    """End the agent's processes, and create the folder with a conversation, which may be empty.

    Raises:
        OSError: The folder cannot be written.
    """
    workspace.agent.end_processes()
    folder = workspace.claude_folder
    if folder.exists():
        # Its removal could take long, because the agent may have filled it. The agent cannot reach it here.
        folder.rename(tempfile.mkdtemp(prefix="former-", dir=workspace.trusted))
    folder.mkdir(mode=0o700)
    if conversation:
        file = folder / _RESTORED / f"{session_id}.jsonl"
        file.parent.mkdir(mode=0o700, parents=True)
        file.write_bytes(conversation)
    workspace.agent.give(folder)


def read_conversation(workspace: Workspace, session_id: str) -> bytes:
    """Return Claude Code's file of the conversation; `b""` if the file does not exist or is larger than `MAX_BYTES`.

    The file is read by a command that runs as the owner of the file, the agent's user.

    Raises:
        CommandFailed: The command was killed, together with the agent.
    """
    folder = workspace.claude_folder / "projects"
    find = ["find", str(folder), "-name", f"{session_id}.jsonl", "-type", "f", "-size", f"-{MAX_BYTES}c"]
    command = [*find, "-exec", "cat", "{}", "+"]
    result = commands.run(workspace, command, beside_agent=True, output_limit_bytes=MAX_BYTES)
    if result.status < 0:
        raise CommandFailed(f"the conversation could not be read: signal {-result.status} ended the command")
    if result.is_cut:
        return b""
    lines = result.stdout
    return lines[: lines.rfind(b"\n") + 1]  # Claude Code may still be writing the last line
