"""Renders the report of a run in Markdown, for every outcome, such as delivered, no changes, failed or interrupted.

Untrusted text (the agent's words, paths, the diff, the names of instructions, a server's message) goes through
`flows.reporting.markdown`. Each part has a maximum size, so that the whole report stays far below the limit of
Prefect's API.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from flows.errors import RunError
from flows.instructions.files import Instructions
from flows.outcome.summary import RunSummary, title
from flows.outcome.verification import result_text
from flows.parameters.change_policy import ChangePolicy
from flows.reporting.commands import fetch_command
from flows.reporting.markdown import code, cut, fenced, link, link_to, prose, quoted, table
from flows.reporting.next_steps import advice
from flows.reporting.verification import verification_section
from flows.repository.collect import Change, FileChange
from flows.state.agent_report import AgentReport
from flows.state.files import StateFile
from flows.text_safety import one_line, sanitize
from flows.verification.results import Status

_DIFF_MAX_CHARACTERS: Final = 40_000
_SUMMARY_MAX_CHARACTERS: Final = 20_000
_MESSAGE_MAX_CHARACTERS: Final = 4_000
_FILES_MAX: Final = 100
_INSTRUCTIONS_MAX: Final = 50
_PATH_MAX: Final = 300
_NAMES_MAX: Final = 20
_UNHEARD_MAX: Final = 50
_NAME_MAX: Final = 200
_INTERRUPTED: Final = (
    "The run was stopped before it finished: it was cancelled or suspended, or its machine was shutting down. If "
    "Prefect runs it again, on this machine or another, the run resumes from this point and gets a new report."
)


def render_report(summary: RunSummary) -> str:
    """Return the whole report, in Markdown."""
    return "\n\n".join(part for part in _parts(summary) if part) + "\n"


def _parts(summary: RunSummary) -> Iterator[str]:
    yield f"# {prose(title(summary))}"
    if summary.error:
        yield from _message(summary, summary.error)
    header, *rows = [[name, value] for name, value in _facts(summary) if value]
    yield table(rows, header)  # an empty header would be shown as an empty bar
    yield "## What to do now\n\n" + "\n\n".join(advice(summary))
    if summary.agent:
        text, note = cut(summary.agent.summary, _SUMMARY_MAX_CHARACTERS, "see the transcript")
        yield f"## What Claude says\n\n{quoted(text) if text.strip() else 'Nothing.'}"
        yield note
        yield _list("What Claude asks", summary.agent.questions)
        yield _list("What Claude left undone", summary.agent.not_done)
    if summary.change:
        yield _files(summary.change.files)
        yield _left_aside(summary, summary.change)
    yield verification_section(summary)
    yield _instructions(summary)
    issue = summary.instructions.issue if summary.instructions else None
    unheard = summary.review.unheard if summary.review else issue.unheard if issue else ()
    yield _list("Comments that were not heard", [line[:_PATH_MAX] for line in unheard[:_UNHEARD_MAX]])
    yield _list("Asked later", [cut(text, _SUMMARY_MAX_CHARACTERS, "")[0] for text in summary.feedback])
    if summary.steps:
        steps = [[step.name, step.state, f"{step.seconds:.1f}", str(step.attempts)] for step in summary.steps]
        yield "## Steps\n\n" + table(steps, ["step", "state", "seconds", "attempts"])
    if summary.saved_files:
        yield "## Saved files\n\n" + "\n".join(f"- {code(location)}" for location in summary.saved_files.values())
    if summary.patch:
        yield _diff(summary)


def _message(summary: RunSummary, error: BaseException) -> Iterator[str]:
    text, sentences = str(error), error.sentences if isinstance(error, RunError) else str(error)
    yield quoted(prose((_INTERRUPTED if summary.is_interrupted else sentences)[:_MESSAGE_MAX_CHARACTERS]))
    output = text.removeprefix(sentences).strip("\n")
    if output and not summary.rounds:  # the section about the verification has the output of its commands
        yield fenced(output[:_MESSAGE_MAX_CHARACTERS])


def _facts(summary: RunSummary) -> Iterator[tuple[str, str]]:
    links, checkout = summary.links, summary.checkout
    yield "Repository", link_to(links.repository) if links.repository else ""
    if checkout:
        yield "Branch", _linked(checkout.branch, links.branch)
        yield "Commit", (_linked(summary.commit, links.commit) if summary.commit else "none")
        yield "Started from", f"{code(checkout.base_branch)} at {code(checkout.base_commit[:12])}"
        yield "Files for agents", prose(checkout.agent_files)
        yield "Setup", prose(summary.setup)
        yield "Services", prose(summary.services)
    yield "Verify commands", prose(f"from {summary.verify_source}" if summary.verify_source else "")
    yield "Verification", _verification(summary)
    if summary.change and summary.change.applied_to:
        newer = summary.change.checkout
        yield "Applied to", f"{code(newer.base_branch)} at {code(newer.base_commit[:12])}"
    if issue := summary.instructions.issue if summary.instructions else None:
        yield "Issue", f"{link_to(issue.url)}, by {prose(issue.author[:_MESSAGE_MAX_CHARACTERS])}"
        yield "Issue not read", prose(issue.omission[:_MESSAGE_MAX_CHARACTERS])
    yield "Pull request", _pull_request(summary)
    yield "Review heard", summary.review.text if summary.review else ""
    review = (
        [link(f"Open a {links.request_name}", links.request)]
        if links.request and not _has_pull_request(summary)
        else []
    )
    review += [link("compare", links.compare)] if links.compare else []
    yield "Review", ", ".join(review)
    yield from _usage(summary)
    changed = [name for name, value in summary.policy if value != ChangePolicy.model_fields[name].default]
    yield "Policy", f"not the default: {', '.join(code(name) for name in changed)}" if changed else ""
    for warning in summary.warnings:
        yield "Warning", prose(warning[:_MESSAGE_MAX_CHARACTERS])
    yield "Flow run", code(summary.flow_run_id)


def _has_pull_request(summary: RunSummary) -> bool:
    return summary.pull_request is not None and bool(summary.pull_request.url)


def _pull_request(summary: RunSummary) -> str:
    """Return the link to the pull request, or why there is none; empty if none was asked for."""
    result = summary.pull_request
    if result is None:
        return ""
    if not result.url:
        return prose(f"none: {result.fault}"[:_MESSAGE_MAX_CHARACTERS])
    return f"{link_to(result.url)}{result.note}"


def _verification(summary: RunSummary) -> str:
    """Return what is known about the change; empty if it is not finished."""
    if summary.status is None:
        return ""
    reason = " (there are no verify commands)" if summary.status is Status.NOT_ASKED else ""
    return f"{result_text(summary.status, summary.repairs)}{reason}"


def _usage(summary: RunSummary) -> Iterator[tuple[str, str]]:
    agent = summary.agent
    if agent is None:
        return
    models = list(agent.model_usage)[:_NAMES_MAX] or [summary.model]
    yield "Model", ", ".join(code(model[:_NAME_MAX]) for model in models)
    yield "Turns, cost, time", f"{agent.turns}, ${agent.cost_usd:.4f}, {agent.duration_seconds:.1f} s"
    yield "Tokens", _tokens(agent)
    yield "Cache", str(agent.cache)
    names = sorted(set(agent.permission_denials))[:_NAMES_MAX]
    denied = [f"{code(name[:_NAME_MAX])} × {agent.permission_denials.count(name)}" for name in names]  # noqa: RUF001
    yield "Tools denied", ", ".join(denied) or "none"


def _tokens(agent: AgentReport) -> str:
    """Return the token counts as text, summed over all models. Unexpected values in `modelUsage` are ignored."""
    labels = {"inputTokens": "in", "outputTokens": "out", "cacheReadInputTokens": "read from the cache"}
    usages = [usage for usage in agent.model_usage.values() if isinstance(usage, dict)]
    counts = {label: [usage.get(key) for usage in usages] for key, label in labels.items()}
    sums = {label: sum(n for n in values if isinstance(n, int)) for label, values in counts.items()}
    return ", ".join(f"{count:,} {label}" for label, count in sums.items() if count)


def _list(heading: str, items: Sequence[str]) -> str:
    return f"## {heading}\n\n" + "\n\n".join(map(quoted, items)) if items else ""


def _linked(text: str, url: str) -> str:
    return link(text, url) if url else code(text)


def _files(files: Sequence[FileChange]) -> str:
    if not files:
        return "## Files\n\nNo file changed."
    added, removed = sum(file.added or 0 for file in files), sum(file.removed or 0 for file in files)
    rows = [
        [code(file.path[:_PATH_MAX])]
        + (["binary", ""] if file.added is None else [f"+{file.added}", f"−{file.removed}"])  # noqa: RUF001
        for file in files[:_FILES_MAX]
    ]
    more = f"\n\nand {len(files) - _FILES_MAX} more" if len(files) > _FILES_MAX else ""
    return f"## Files\n\n{table(rows, [f'{len(files)} changed', f'+{added}', f'−{removed}'])}{more}"  # noqa: RUF001 (a minus sign)


def _left_aside(summary: RunSummary, change: Change) -> str:
    """Return a table of the work that is not in the change, with the commands that fetch the parts that are saved."""
    bundle = summary.saved_files.get(StateFile.BUNDLE, "")
    rows = []
    for work in change.left_aside:
        names = ", ".join(work.paths[:_NAMES_MAX])
        command = code(fetch_command(bundle, work.branch)) if work.ref and bundle else ""
        rows.append([prose(work.place), code(names[:_PATH_MAX]) if names else "", command])
    return "## Not part of the change\n\n" + table(rows, ["what", "files", "to see it"]) if rows else ""


def _instructions(summary: RunSummary) -> str:
    if summary.instructions is None:
        return ""
    files = summary.instructions.files
    rows = [
        [code(file.path[:_PATH_MAX]), f"{file.size:,}", code(file.version_id or file.etag), code(file.sha256[:16])]
        for file in files[:_INSTRUCTIONS_MAX]
    ]
    more = f"\n\nand {len(files) - _INSTRUCTIONS_MAX} more" if len(files) > _INSTRUCTIONS_MAX else ""
    source = code(one_line(summary.instructions.source)[:_PATH_MAX])
    text = _text_of_issue(summary.instructions) if summary.instructions.issue else ""
    return f"## Instructions\n\n{source}\n\n{table(rows, ['file', 'bytes', 'version', 'SHA-256'])}{more}{text}"


def _text_of_issue(instructions: Instructions) -> str:
    """Return the text as the run took it. The issue itself may say something else by now."""
    text, note = cut(sanitize(instructions.main_text), _SUMMARY_MAX_CHARACTERS, "in the saved instructions")
    return f"\n\n{fenced(text)}" + (f"\n\n{note}" if note else "")


def _diff(summary: RunSummary) -> str:
    branch = summary.checkout.branch if summary.checkout else ""
    patch, note = cut(summary.patch, _DIFF_MAX_CHARACTERS, "")
    if note:
        url = summary.repo_url.url if summary.repo_url else ""
        source = summary.saved_files.get(StateFile.BUNDLE, url) if summary.error else url
        note = f"\n\n{note}{code(fetch_command(source, branch))}"
    return f"## Diff\n\n{fenced(patch, 'diff')}{note}"
