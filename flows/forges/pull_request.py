"""Opens a run's pull request exactly once, or updates it, also if an attempt ends between any two requests.

The forge is asked first, and the record of the run is only a help: a request may have been opened by an attempt that
ended before it could save the record. A pull request that a person closed or merged stays as it is.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from flows.errors import ForgePermissionMissing, ForgeUnavailable
from flows.forges.api.base import TITLE_LIMIT, ForgeApi, PullRequest, PullRequestDraft, Refusal, State
from flows.forges.body import UNVERIFIED, units
from flows.forges.disarm import cut_line
from flows.forges.section import add_marks, is_of_run, with_section, with_template

_HAS_MARKED: Final = "has_marked"
"""What the record has if the run has put the mark of an unverified change into the title, which a person may remove."""


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
    takes_any_base: bool = False
    """Whether an open pull request of the branch counts that is for another base branch."""
    is_verified: bool = False
    """Whether the verification speaks for the commit."""


def open_or_update(api: ForgeApi, record: RequestRecord, run_request: RunRequest) -> PullRequest | Refusal:
    """Open the pull request, or update the one that exists. Return it, or why there is none.

    What a person changed is not overwritten: a title that this run did not set, and the body outside the section.

    Raises:
        ForgeAuthFailed, ForgePermissionMissing, ForgeUnavailable, PullRequestRefused: See `ForgeApi`. After any of
            them, this function can be called again.
    """
    draft, previous = run_request.draft, _previous(record, run_request)
    section = add_marks(draft.body, run_request.run_id, run_request.commit, html_comments=api.hides_html_comments)
    current = _current(api, previous, run_request)
    if current is None:
        body = with_template(section, run_request.template, api.body_limit)
        new = api.create(replace(draft, body=body))
        if new is Refusal.EXISTS:
            current = _match(api, run_request)
        elif isinstance(new, Refusal):
            return new
        elif draft.body in new.body.replace("\r\n", "\n"):
            record.save(_record(previous, new, draft, new.title, section))
            return new
        else:  # Bitbucket returns the pull request that exists
            current = new
    if current is None:
        # A search may be answered by a copy of the forge's database that is a moment behind.
        raise ForgeUnavailable(
            f"the forge says that there is a pull request from {draft.head} to {draft.base} already, and does not list "
            "it: try again later, or look for it on the forge"
        )
    if not previous.get("number"):  # so that the run knows it also if the update is refused
        record.save(_record(previous, current, draft, "", ""))
    current = _update(api, current, section, previous, run_request)
    is_own_title = current.title in {previous.get("title"), draft.title}
    new_record = _record(previous, current, draft, current.title if is_own_title else "", section)
    has_marked = previous.get(_HAS_MARKED, False) or draft.title.startswith(UNVERIFIED)
    record.save({**new_record, _HAS_MARKED: has_marked})
    return current


def lacks_room(api: ForgeApi, run_request: RunRequest, request: PullRequest) -> bool:
    """Whether the pull request has no section of this run because its text would be too long for the forge."""
    section = add_marks(
        run_request.draft.body, run_request.run_id, run_request.commit, html_comments=api.hides_html_comments
    )
    body = request.body.replace("\r\n", "\n")
    return section not in body and units(body) + units(section) > api.body_limit


def add_wishes(
    api: ForgeApi, record: RequestRecord, number: int, labels: Sequence[str], reviewers: Sequence[str]
) -> list[str]:
    """Add labels and ask for reviews, once in a run, so that what a person takes away does not come back.

    Returns:
        Why the forge refused any of it, also if this was in an earlier attempt. No refusal is an error.
    """
    previous = record.load() or {}
    if "refusals" not in previous:
        refusals = [api.add_labels(number, labels), api.add_reviewers(number, reviewers)]
        previous = {**previous, "refusals": [refusal for refusal in refusals if refusal]}
        record.save(previous)
    return list(previous["refusals"])


def _previous(record: RequestRecord, run_request: RunRequest) -> Mapping[str, Any]:
    """Return the record if it is about these branches."""
    previous = record.load() or {}
    branches = (run_request.draft.head, run_request.draft.base)
    return previous if (previous.get("head"), previous.get("base")) == branches else {}


def _current(api: ForgeApi, previous: Mapping[str, Any], run_request: RunRequest) -> PullRequest | None:
    """Return the pull request of the record, or else the one that the forge lists; None if there is none."""
    if number := previous.get("number"):
        with suppress(ForgePermissionMissing):  # somebody may have deleted it, and then the list does not have it
            request = api.get(number)
            if request.state is not State.OPEN or request.head == run_request.draft.head:
                return request
    return _match(api, run_request)


def _match(api: ForgeApi, run_request: RunRequest) -> PullRequest | None:
    """Return the open pull request for the branch, or the one that this run has opened, also if it is closed now."""
    requests = api.find(run_request.draft.head, run_request.draft.base)
    same_base = [each for each in requests if each.base == run_request.draft.base]
    candidates = (
        *(each for each in same_base if each.state is State.OPEN),
        *(each for each in requests if run_request.takes_any_base and each.state is State.OPEN),
        *(each for each in same_base if is_of_run(each.body, run_request.run_id)),
    )
    return next(iter(candidates), None)


def _update(
    api: ForgeApi, current: PullRequest, section: str, previous: Mapping[str, Any], run_request: RunRequest
) -> PullRequest:
    """Return the pull request with the new title and section, or as it is if it is not open or nothing is new."""
    if current.state is not State.OPEN:
        return current
    is_own_title = current.title == previous.get("title")
    title = run_request.draft.title if is_own_title else _with_right_mark(current.title, previous, run_request)
    body = with_section(current.body, section, previous.get("section", ""), api.body_limit)
    is_same = (title, body) == (current.title, current.body.replace("\r\n", "\n"))
    return current if is_same else api.update(current, title, body)


def _with_right_mark(title: str, previous: Mapping[str, Any], run_request: RunRequest) -> str:
    """Return a title of a person or of an earlier run, with a mark if this run's title has one.

    A mark goes if the commit is verified now. In the same run, a mark that a person took away does not come back.
    """
    plain = title.removeprefix(UNVERIFIED)
    if run_request.is_verified:
        return plain
    is_marked = run_request.draft.title.startswith(UNVERIFIED) and not previous.get(_HAS_MARKED)
    return cut_line(f"{UNVERIFIED}{plain}", TITLE_LIMIT) if is_marked else title


def _record(
    previous: Mapping[str, Any], request: PullRequest, draft: PullRequestDraft, title: str, section: str
) -> dict[str, Any]:
    """Return a record. Its base branch is the one that the run asked for, because a person may have changed it."""
    return {
        **previous,
        "number": request.number,
        "url": request.url,
        "head": draft.head,
        "base": draft.base,
        "title": title,
        "section": section,
    }
