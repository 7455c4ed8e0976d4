"""Opens a run's pull request exactly once, or updates it, also if an attempt ends between any two requests.

The forge is asked first, and the record of the run is only a help: a request may have been opened by an attempt that
ended before it could save the record. A pull request that a person closed or merged stays as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from flows.errors import ForgeUnavailable
from flows.forges.api.base import ForgeApi, PullRequest, PullRequestDraft, Refusal, State
from flows.forges.section import framed, is_of_run, with_section, with_template


class RequestRecord(Protocol):
    """The record of a run's pull request in its saved state."""

    def load(self) -> Mapping[str, Any] | None:
        """Return what was saved last; None if nothing was."""

    def save(self, record: Mapping[str, Any]) -> None:
        """Save the record, as JSON."""


@dataclass(frozen=True)
class RunRequest:
    """The pull request that a run wants to have."""

    draft: PullRequestDraft
    """Its body is this program's section, without marks."""
    run_id: str
    commit: str
    template: str = ""
    """The text of the repository's template, which a new pull request has below the section."""


def open_or_update(api: ForgeApi, record: RequestRecord, wanted: RunRequest) -> PullRequest | Refusal:
    """Open the pull request, or update the one that exists. Return it, or why there is none.

    What a person changed is not overwritten: a title that this run did not set, and the body outside the section.

    Raises:
        ForgeAuthFailed, ForgePermissionMissing, ForgeUnavailable, PullRequestRefused: See `ForgeApi`. After any of
            them, this function can be called again.
    """
    draft, saved = wanted.draft, _saved(record, wanted)
    section = framed(draft.body, wanted.run_id, wanted.commit, html_comments=api.hides_html_comments)
    current = api.get(saved["number"]) if saved.get("number") else _match(api, wanted)
    if current is None:
        body = with_template(section, wanted.template, api.body_limit)
        created = api.create(replace(draft, body=body))
        if created is Refusal.EXISTS:
            current = _match(api, wanted)
        elif isinstance(created, Refusal):
            return created
        elif draft.body in created.body.replace("\r\n", "\n"):
            record.save(_record(saved, created, created.title, section))
            return created
        else:  # Bitbucket returns the pull request that exists
            current = created
    if current is None:
        # A search may be answered by a copy of the forge's database that is a moment behind.
        raise ForgeUnavailable(
            f"the forge says that there is a pull request from {draft.head} to {draft.base} already, and does not list "
            "it: try again later, or look for it on the forge"
        )
    current = _updated(api, current, section, saved, draft)
    is_own_title = current.title in {saved.get("title"), draft.title}
    record.save(_record(saved, current, current.title if is_own_title else "", section))
    return current


def add_wishes(
    api: ForgeApi, record: RequestRecord, number: int, labels: Sequence[str], reviewers: Sequence[str]
) -> list[str]:
    """Add labels and ask for reviews, once in a run, so that what a person takes away does not come back.

    Returns:
        Why the forge refused any of it, also if this was in an earlier attempt. No refusal is an error.
    """
    saved = record.load() or {}
    if "refusals" not in saved:
        refusals = [api.add_labels(number, labels), api.add_reviewers(number, reviewers)]
        saved = {**saved, "refusals": [refusal for refusal in refusals if refusal]}
        record.save(saved)
    return list(saved["refusals"])


def _saved(record: RequestRecord, wanted: RunRequest) -> Mapping[str, Any]:
    """Return the record if it is about these branches."""
    saved = record.load() or {}
    branches = (wanted.draft.head, wanted.draft.base)
    return saved if (saved.get("head"), saved.get("base")) == branches else {}


def _match(api: ForgeApi, wanted: RunRequest) -> PullRequest | None:
    """Return the open pull request for the branch, or the one that this run has opened, also if it is closed now."""
    requests = api.find(wanted.draft.head, wanted.draft.base)
    own = (each for each in requests if is_of_run(each.body, wanted.run_id))
    return next((each for each in requests if each.state is State.OPEN), None) or next(own, None)


def _updated(
    api: ForgeApi, current: PullRequest, section: str, saved: Mapping[str, Any], draft: PullRequestDraft
) -> PullRequest:
    """Return the pull request with the new title and section, or as it is if it is not open or nothing is new."""
    if current.state is not State.OPEN:
        return current
    title = draft.title if current.title == saved.get("title") else current.title
    body = with_section(current.body, section, saved.get("section", ""), api.body_limit)
    is_same = (title, body) == (current.title, current.body.replace("\r\n", "\n"))
    return current if is_same else api.update(current, title, body)


def _record(saved: Mapping[str, Any], request: PullRequest, title: str, section: str) -> dict[str, Any]:
    return {
        **saved,
        "number": request.number,
        "url": request.url,
        "head": request.head,
        "base": request.base,
        "title": title,
        "section": section,
    }
