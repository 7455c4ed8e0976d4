"""The report of a run, in Markdown: of one that delivered, had nothing to change, failed, or was interrupted. Pure.

What it is given by strangers (the agent's words, paths, the diff, the names of instructions, a server's message) goes
through `flows.reporting.markdown`. Each part is cut at a size, so that the whole stays far below the limit of Prefect's
API.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from flows.outcome.summary import RunSummary, title
from flows.parameters.change_policy import ChangePolicy
from flows.reporting.markdown import code, cut, fenced, link, prose, quoted, table
from flows.reporting.next_steps import advice, fetch_command
from flows.repository.collect import FileChange
from flows.state.agent_report import AgentReport
from flows.state.files import StateFile
from flows.text_safety import one_line

_DIFF_MAX_CHARACTERS: Final = 40_000
_SUMMARY_MAX_CHARACTERS: Final = 20_000
_MESSAGE_MAX_CHARACTERS: Final = 4_000
_FILES_SHOWN: Final = 100
_INSTRUCTIONS_SHOWN: Final = 50
_PATH_SHOWN: Final = 300
_NAMES_SHOWN: Final = 20
_NAME_SHOWN: Final = 200
_INTERRUPTED: Final = (
    "It was stopped before its end: cancelled, suspended, or told to end with its machine. Where Prefect runs it again "
    "after that, on another machine, it goes on from here, and has a report of its own."
)


def markdown(summary: RunSummary) -> str:
    """Return the whole report."""
    return "\n\n".join(part for part in _parts(summary) if part) + "\n"


def _parts(summary: RunSummary) -> Iterator[str]:
    yield f"# {prose(title(summary))}"
    if summary.error:
        message = _INTERRUPTED if summary.is_interrupted else str(summary.error)
        yield quoted(prose(message[:_MESSAGE_MAX_CHARACTERS]))
    first, *others = [[name, value] for name, value in _facts(summary) if value]
    yield table(others, first)  # a head of empty cells would be shown as an empty bar
    yield "## What to do now\n\n" + "\n\n".join(advice(summary))
    if summary.agent:
        said, note = cut(summary.agent.summary, _SUMMARY_MAX_CHARACTERS, "see the transcript")
        yield f"## What Claude says\n\n{quoted(said) if said.strip() else 'Nothing.'}"
        yield note
    if summary.change:
        yield _files(summary.change.files)
    yield _instructions(summary)
    if summary.steps:
        rows = [[step.name, step.state, f"{step.seconds:.1f}", str(step.attempts)] for step in summary.steps]
        yield "## Steps\n\n" + table(rows, ["step", "state", "seconds", "attempts"])
    if summary.saved_files:
        yield "## Kept\n\n" + "\n".join(f"- {code(where)}" for where in summary.saved_files.values())
    if summary.patch:
        yield _diff(summary)


def _facts(summary: RunSummary) -> Iterator[tuple[str, str]]:
    at, checkout = summary.links, summary.checkout
    yield "Repository", link(at.repository, at.repository) if at.repository else ""
    if checkout:
        yield "Branch", _linked(checkout.branch, at.branch)
        yield "Commit", (_linked(summary.commit, at.commit) if summary.commit else "none")
        yield "Started from", f"{code(checkout.base_branch)} at {code(checkout.base_commit[:12])}"
    asked = [link(f"Open a {at.request_name}", at.request)] if at.request else []
    yield "Review", ", ".join([*asked, *([link("compare", at.compare)] if at.compare else [])])
    yield from _spent(summary)
    allowed = [name for name, value in summary.policy if value != ChangePolicy.model_fields[name].default]
    yield "Policy", f"not as by default: {', '.join(code(name) for name in allowed)}" if allowed else ""
    for warning in summary.warnings:
        yield "Warning", prose(warning[:_MESSAGE_MAX_CHARACTERS])
    yield "Flow run", code(summary.flow_run_id)


def _spent(summary: RunSummary) -> Iterator[tuple[str, str]]:
    agent = summary.agent
    if agent is None:
        return
    models = list(agent.model_usage)[:_NAMES_SHOWN] or [summary.model]
    yield "Model", ", ".join(code(model[:_NAME_SHOWN]) for model in models)
    yield "Turns, cost, time", f"{agent.turns}, ${agent.cost_usd:.4f}, {agent.duration_seconds:.1f} s"
    yield "Tokens", _tokens(agent)
    denied = {
        name: agent.permission_denials.count(name) for name in sorted(set(agent.permission_denials))[:_NAMES_SHOWN]
    }
    yield "Tools denied", ", ".join(f"{code(name[:_NAME_SHOWN])} × {count}" for name, count in denied.items()) or "none"  # noqa: RUF001


def _tokens(agent: AgentReport) -> str:
    kinds = {"inputTokens": "in", "outputTokens": "out", "cacheReadInputTokens": "read from the cache"}
    used = [usage for usage in agent.model_usage.values() if isinstance(usage, dict)]
    counts = {words: [one.get(kind) for one in used] for kind, words in kinds.items()}
    sums = {words: sum(n for n in found if isinstance(n, int)) for words, found in counts.items()}
    return ", ".join(f"{count:,} {words}" for words, count in sums.items() if count)


def _linked(text: str, url: str) -> str:
    return link(text, url) if url else code(text)


def _files(files: Sequence[FileChange]) -> str:
    if not files:
        return "## Files\n\nNone changed."
    added, removed = sum(file.added or 0 for file in files), sum(file.removed or 0 for file in files)
    rows = [[code(file.path[:_PATH_SHOWN]), *_size(file)] for file in files[:_FILES_SHOWN]]
    more = f"\n\nand {len(files) - _FILES_SHOWN} more" if len(files) > _FILES_SHOWN else ""
    return f"## Files\n\n{table(rows, [f'{len(files)} changed', f'+{added}', f'−{removed}'])}{more}"  # noqa: RUF001 (a minus sign)


def _size(file: FileChange) -> list[str]:
    return ["binary", ""] if file.added is None else [f"+{file.added}", f"−{file.removed}"]  # noqa: RUF001


def _instructions(summary: RunSummary) -> str:
    if summary.instructions is None:
        return ""
    taken = summary.instructions.files
    rows = [
        [code(file.path[:_PATH_SHOWN]), f"{file.size:,}", code(file.version_id or file.etag), code(file.sha256[:16])]
        for file in taken[:_INSTRUCTIONS_SHOWN]
    ]
    more = f"\n\nand {len(taken) - _INSTRUCTIONS_SHOWN} more" if len(taken) > _INSTRUCTIONS_SHOWN else ""
    source = code(one_line(summary.instructions.source)[:_PATH_SHOWN])
    return f"## Instructions\n\n{source}\n\n{table(rows, ['file', 'bytes', 'version', 'SHA-256'])}{more}"


def _diff(summary: RunSummary) -> str:
    branch = summary.checkout.branch if summary.checkout else ""
    shown, note = cut(summary.patch, _DIFF_MAX_CHARACTERS, "")
    if note:
        url = summary.repo_url.url if summary.repo_url else ""
        where = summary.saved_files.get(StateFile.BUNDLE, url) if summary.error else url
        note = f"\n\n{note}{code(fetch_command(where, branch))}"
    return f"## Diff\n\n{fenced(shown, 'diff')}{note}"
