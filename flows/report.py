"""The report of a run, in Markdown. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flows.claude.outcome import AgentReport
from flows.workspace.collect import Change, FileChange

_DIFF_MAX_CHARACTERS: Final = 40_000
_FILES_SHOWN: Final = 100
_INSTRUCTIONS_SHOWN: Final = 50


@dataclass(frozen=True)
class Delivery:
    """What a run returns: where the work is. `commit` is empty where there was nothing to change."""

    repo_url: str
    branch: str
    commit: str
    files: tuple[str, ...]
    cost_usd: float
    turns: int
    summary: str


def headline(delivery: Delivery) -> str:
    """Say the outcome in one line."""
    if not delivery.commit:
        return f"Nothing to change: {delivery.branch} was not pushed"
    count = len(delivery.files)
    return f"Pushed {count} file{'s' if count != 1 else ''} to {delivery.branch} as {delivery.commit[:12]}"


def markdown(delivery: Delivery, change: Change, agent: AgentReport, instructions: Sequence[str], patch: str) -> str:
    """Return the whole report."""
    rows = {
        "Repository": delivery.repo_url,
        "Branch": f"`{delivery.branch}`",
        "Commit": f"`{delivery.commit}`" if delivery.commit else "none",
        "Started from": f"`{change.checkout.base_branch}` at `{change.checkout.base_commit[:12]}`",
        "Model": ", ".join(f"`{model}`" for model in agent.model_usage) or "unknown",
        "Turns, cost, time": f"{agent.turns}, ${agent.cost_usd:.4f}, {agent.duration_seconds:.1f} s",
        "Tools denied": ", ".join(sorted(set(agent.permission_denials))) or "none",
    }
    table = "\n".join(f"| {name} | {_cell(value)} |" for name, value in rows.items())
    parts = [
        f"# {headline(delivery)}",
        f"|  |  |\n|---|---|\n{table}",
        f"## What Claude says\n\n{agent.summary or 'Nothing.'}",
        f"## Files\n\n{_files(change.files)}",
        "## Instructions\n\n" + "\n".join(f"- {_code(line)}" for line in instructions[:_INSTRUCTIONS_SHOWN]),
    ]
    if patch:
        parts.append(f"## Diff\n\n{_fenced(patch)}")
    # Paths are bytes and need not be UTF-8; a report is.
    return ("\n\n".join(parts) + "\n").encode("utf-8", "replace").decode()


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _files(files: Sequence[FileChange]) -> str:
    if not files:
        return "None changed."
    lines = [f"- {_code(file.path)} {_size(file)}" for file in files[:_FILES_SHOWN]]
    return "\n".join([*lines, *([f"- and {len(files) - _FILES_SHOWN} more"] if len(files) > _FILES_SHOWN else [])])


def _size(file: FileChange) -> str:
    return "binary" if file.added is None else f"+{file.added} −{file.removed}"  # noqa: RUF001 (a minus sign)


def _code(text: str) -> str:
    shown = text.encode("utf-8", "replace").decode().replace("`", "'")
    return f"`{' '.join(shown.split())}`"


def _fenced(patch: str) -> str:
    cut = patch[:_DIFF_MAX_CHARACTERS]
    note = f"\n… {len(patch) - len(cut):,} more characters: see the branch" if len(cut) < len(patch) else ""
    fence = "````"
    while fence in cut:
        fence += "`"
    return f"{fence}diff\n{cut}{note}\n{fence}"
