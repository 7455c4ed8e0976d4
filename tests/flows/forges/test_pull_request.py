"""A run has one pull request, whenever its process ends, and what a person wrote in it stays."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from flows.errors import ForgePermissionMissing, ForgeUnavailable
from flows.forges.api.base import PullRequest, PullRequestDraft, Refusal, State
from flows.forges.pull_request import RunRequest, add_wishes, lacks_room, open_or_update
from flows.forges.section import add_marks
from tests.support.forges.azure import AzureStandIn
from tests.support.forges.bitbucket import BitbucketStandIn
from tests.support.forges.fixtures import serve
from tests.support.forges.github import GitHubStandIn
from tests.support.forges.stand_in import Fault, ForgeStandIn, Reply
from tests.support.forges.stand_ins import STAND_INS

RUN = "5f3c0000-0000-4000-8000-000000000001"
WANTED = RunRequest(
    PullRequestDraft("Add a page", "> Why\n\n**Checked:** yes", "work", "main", is_draft=True), RUN, "c0ffee"
)
LATER = replace(WANTED, draft=replace(WANTED.draft, body="> Why\n\n**Checked:** again"), commit="beef00")
each_forge = pytest.mark.parametrize("kind", STAND_INS, ids=[kind.name for kind in STAND_INS])


@dataclass
class MemoryRecord:
    """A record that is lost with the process."""

    saved: dict[str, Any] = field(default_factory=dict)

    def load(self) -> Mapping[str, Any] | None:
        return self.saved or None

    def save(self, record: Mapping[str, Any]) -> None:
        self.saved = json.loads(json.dumps(record))


@each_forge
def test_a_request_is_opened_once_and_then_brought_up_to_date(kind: type[ForgeStandIn]) -> None:
    with serve(kind) as (forge, api):
        record = MemoryRecord()
        first = open_or_update(api, record, WANTED)
        assert isinstance(first, PullRequest)
        assert first.is_draft
        assert (record.saved["number"], record.saved["url"]) == (1, first.url)
        writes = len(forge.writes())
        assert open_or_update(api, record, WANTED) == first
        assert len(forge.writes()) == writes, "nothing has changed, so nothing is written"
        later = open_or_update(api, record, LATER)
        assert isinstance(later, PullRequest)
        assert (later.number, later.is_draft, len(forge.pull_requests)) == (1, True, 1)
        assert "**Checked:** again" in later.body
        assert "**Checked:** yes" not in later.body
        assert f"run={RUN} head=beef00" in later.body


@each_forge
def test_another_run_on_the_same_branch_updates_the_same_request(kind: type[ForgeStandIn]) -> None:
    with serve(kind) as (forge, api):
        open_or_update(api, MemoryRecord(), WANTED)
        other = replace(LATER, run_id="another-run", draft=replace(LATER.draft, title="Another title"))
        later = open_or_update(api, MemoryRecord(), other)
        assert isinstance(later, PullRequest)
        assert (later.number, later.title, len(forge.pull_requests)) == (1, "Add a page", 1)
        assert later.body.count("claude-code-headless:begin") == 1
        assert "run=another-run" in later.body


@each_forge
def test_what_a_person_wrote_stays(kind: type[ForgeStandIn]) -> None:
    with serve(kind) as (forge, api):
        record = MemoryRecord()
        open_or_update(api, record, WANTED)
        pull_request = forge.pull_requests[0]
        mark = next((mark for mark in ("Draft: ", "WIP: ") if pull_request.title.startswith(mark)), "")
        pull_request.title = f"{mark}A person's title"
        pull_request.body = f"Before\n\n{pull_request.body}\n\nAfter @ada"
        later = open_or_update(api, record, LATER)
        assert isinstance(later, PullRequest)
        body = later.body.replace("\r", "")
        assert later.title == "A person's title"
        assert body.startswith("Before\n\n")
        assert body.endswith("\n\nAfter @ada")
        assert "again" in body
        assert "yes" not in body
        once_more = open_or_update(api, record, WANTED)
        assert isinstance(once_more, PullRequest)
        assert once_more.title == "A person's title"


def test_a_title_that_nobody_changed_follows_the_run() -> None:
    with serve(GitHubStandIn) as (forge, api):
        record = MemoryRecord()
        open_or_update(api, record, WANTED)
        open_or_update(api, record, replace(LATER, draft=replace(LATER.draft, title="A better title")))
        assert forge.pull_requests[0].title == "A better title"


def test_a_section_that_a_person_removed_does_not_come_back_in_the_same_run() -> None:
    with serve(GitHubStandIn) as (forge, api):
        record = MemoryRecord()
        open_or_update(api, record, WANTED)
        forge.pull_requests[0].body = "my own words"
        open_or_update(api, record, LATER)
        assert forge.pull_requests[0].body == "my own words"


def test_a_request_that_a_person_opened_gets_a_section_below_the_words_of_the_person() -> None:
    with serve(GitHubStandIn) as (forge, api):
        forge.add("by hand", "my own words", "work", "main")
        result = open_or_update(api, MemoryRecord(), WANTED)
        assert isinstance(result, PullRequest)
        assert (result.number, result.title) == (1, "by hand")
        assert result.body.startswith("my own words\r\n\r\n<!-- claude-code-headless:begin -->")


@each_forge
@pytest.mark.parametrize("state", ["closed", "merged"])
@pytest.mark.parametrize("record_is_lost", [False, True])
def test_a_request_that_a_person_closed_is_not_opened_again(
    kind: type[ForgeStandIn], state: str, *, record_is_lost: bool
) -> None:
    with serve(kind) as (forge, api):
        record = MemoryRecord()
        open_or_update(api, record, WANTED)
        forge.pull_requests[0].state = state
        writes = len(forge.writes())
        result = open_or_update(api, MemoryRecord() if record_is_lost else record, LATER)
        assert isinstance(result, PullRequest)
        assert (result.number, result.state) == (1, State(state))
        assert len(forge.writes()) == writes
        new_run = open_or_update(api, MemoryRecord(), replace(LATER, run_id="another-run"))
        assert isinstance(new_run, PullRequest)
        assert new_run.number == 2


@each_forge
def test_a_request_that_the_first_search_did_not_show_is_found_after_the_refusal(kind: type[ForgeStandIn]) -> None:
    with serve(kind) as (forge, api):
        forge.add("by somebody at the same moment", "", "work", "main")
        empty: Any = {"azure": {"value": []}, "bitbucket": {"values": []}}.get(kind.name, [])
        for search in ("GET .*/pulls/main/work", r"GET .*/pulls\?") if kind.name == "gitea" else ("GET",):
            reply = forge.missing if search.endswith("work") else Reply(200, empty)
            forge.faults.append(Fault(search, reply))
        result = open_or_update(api, MemoryRecord(), WANTED)
        assert isinstance(result, PullRequest)
        assert (result.number, result.title, len(forge.pull_requests)) == (1, "by somebody at the same moment", 1)
        assert forge.pull_requests[0].body.count("claude-code-headless:begin") == 1


def test_a_request_that_exists_and_is_listed_late_is_found_by_the_next_attempt() -> None:
    with serve(GitHubStandIn) as (forge, api):
        forge.add("by somebody", "", "work", "main")
        forge.faults.append(Fault("GET", Reply(200, []), count=2))
        with pytest.raises(ForgeUnavailable, match="does not list"):
            open_or_update(api, MemoryRecord(), WANTED)
        result = open_or_update(api, MemoryRecord(), WANTED)
        assert isinstance(result, PullRequest)
        assert (result.number, len(forge.pull_requests)) == (1, 1)


def test_the_caller_learns_that_there_is_nothing_to_propose_or_no_draft() -> None:
    with serve(GitHubStandIn) as (forge, api):
        forge.takes_drafts = False
        assert open_or_update(api, MemoryRecord(), WANTED) is Refusal.NO_DRAFTS
        forge.empty_branches.add("work")
        assert open_or_update(api, MemoryRecord(), WANTED) is Refusal.NO_COMMITS


def test_a_record_about_another_branch_is_ignored() -> None:
    with serve(GitHubStandIn) as (forge, api):
        forge.branches.add("other")
        record = MemoryRecord()
        open_or_update(api, record, WANTED)
        second = open_or_update(api, record, replace(WANTED, draft=replace(WANTED.draft, head="other")))
        assert isinstance(second, PullRequest)
        assert (second.number, len(forge.pull_requests)) == (2, 2)


@each_forge
def test_wishes_are_asked_once_in_a_run_and_their_refusals_are_not_forgotten(kind: type[ForgeStandIn]) -> None:
    with serve(kind) as (forge, api):
        record = MemoryRecord()
        open_or_update(api, record, WANTED)
        first = add_wishes(api, record, 1, ["bot"], ["nobody"])
        assert len(first) == (2 if kind is BitbucketStandIn else 1)
        assert "nobody" in first[-1]
        forge.pull_requests[0].labels.clear()
        open_or_update(api, record, LATER)
        writes = len(forge.writes())
        assert add_wishes(api, record, 1, ["bot"], ["nobody"]) == first
        assert (len(forge.writes()), forge.pull_requests[0].labels) == (writes, [])


def test_the_template_of_the_repository_is_below_the_section_if_there_is_room() -> None:
    cases = ((GitHubStandIn, 5_000, True), (AzureStandIn, 5_000, False), (AzureStandIn, 50, True))
    for kind, length, is_shown in cases:
        with serve(kind) as (forge, api):
            template = f"## Checklist\r\n- [ ] {'x' * length} <!-- claude-code-headless:begin -->"
            open_or_update(api, MemoryRecord(), replace(WANTED, template=template))
            assert ("## Checklist\n" in forge.pull_requests[0].body) is is_shown
            assert forge.pull_requests[0].body.count("claude-code-headless:begin") == 1


def test_the_marks_are_invisible_on_each_forge() -> None:
    with serve(BitbucketStandIn) as (forge, api):
        open_or_update(api, MemoryRecord(), WANTED)
        assert "<!--" not in forge.pull_requests[0].body
        assert "\n\n[//]: # (claude-code-headless:end run=" in forge.pull_requests[0].body


def test_a_section_that_the_forge_stored_without_its_marks_is_replaced() -> None:
    with serve(GitHubStandIn) as (forge, api):
        record = MemoryRecord()
        open_or_update(api, record, WANTED)
        plain = add_marks(WANTED.draft.body, RUN, "c0ffee", html_comments=True)
        record.saved["section"] = plain.replace("<!-- claude-code-headless:begin -->\n", "")
        forge.pull_requests[0].body = f"Above\n\n{record.saved['section']}\n\nBelow"
        open_or_update(api, record, LATER)
        body = forge.pull_requests[0].body.replace("\r", "")
        assert body.startswith("Above\n\n<!-- claude")
        assert body.endswith("\n\nBelow")
        assert "yes" not in body


def test_a_body_that_would_become_too_long_stays_as_it_is() -> None:
    with serve(AzureStandIn) as (forge, api):
        forge.add("by hand", "x" * 3_900, "work", "main")
        result = open_or_update(api, MemoryRecord(), WANTED)
        assert isinstance(result, PullRequest)
        assert result.body == "x" * 3_900


@each_forge
def test_a_lost_answer_to_any_write_leads_to_one_request(kind: type[ForgeStandIn]) -> None:
    with serve(kind) as (forge, api):
        record = MemoryRecord()
        for wanted in (WANTED, LATER):
            forge.faults.append(Fault("(POST|PUT|PATCH) "))
            with pytest.raises(ForgeUnavailable):
                open_or_update(api, record, wanted)
            assert isinstance(open_or_update(api, record, wanted), PullRequest)
        assert len(forge.pull_requests) == 1
        assert "again" in forge.pull_requests[0].body
        assert [request.method for request in forge.writes()].count("POST") == 1


@each_forge
@pytest.mark.parametrize("record_is_lost", [False, True])
def test_a_request_whose_base_a_person_changed_stays_the_only_one(
    kind: type[ForgeStandIn], *, record_is_lost: bool
) -> None:
    with serve(kind) as (forge, api):
        forge.branches.add("release")
        record, wanted = MemoryRecord(), replace(WANTED, takes_any_base=True)
        open_or_update(api, record, wanted)
        forge.pull_requests[0].base = "release"
        for later in (replace(LATER, takes_any_base=True), wanted, replace(wanted, run_id="another-run")):
            if record_is_lost:
                record = MemoryRecord()
            result = open_or_update(api, record, later)
            assert isinstance(result, PullRequest)
            assert (result.number, result.base) == (1, "release")
        assert len(forge.pull_requests) == 1


def test_a_run_that_names_a_base_gets_a_request_for_it_beside_one_for_another_base() -> None:
    with serve(GitHubStandIn) as (forge, api):
        forge.add("for a release", "", "work", "release")
        result = open_or_update(api, MemoryRecord(), WANTED)
        assert isinstance(result, PullRequest)
        assert (result.number, result.base, len(forge.pull_requests)) == (2, "main", 2)


@pytest.mark.parametrize("length", [150, 199, 200, 250, 399, 400, 401, 1000])
@pytest.mark.parametrize("character", ["x", "\N{PARTY POPPER}", "é"], ids=["ascii", "emoji", "accent"])
def test_no_text_of_a_person_is_lost_on_a_forge_that_cuts_the_texts_in_its_list(length: int, character: str) -> None:
    with serve(AzureStandIn) as (forge, api):
        words = character * length + " and the end"
        forge.add("by hand", words, "work", "main")
        open_or_update(api, MemoryRecord(), WANTED)
        assert forge.pull_requests[0].body.startswith(f"{words}\n\n[//]: #")


@each_forge
def test_a_request_that_somebody_deleted_is_opened_again(kind: type[ForgeStandIn]) -> None:
    with serve(kind) as (forge, api):
        record = MemoryRecord()
        open_or_update(api, record, WANTED)
        forge.pull_requests.clear()
        result = open_or_update(api, record, LATER)
        assert isinstance(result, PullRequest)
        assert len(forge.pull_requests) == 1


def test_the_record_knows_a_request_whose_update_is_refused() -> None:
    with serve(GitHubStandIn) as (forge, api):
        forge.add("by hand", "", "work", "main")
        forge.faults.append(Fault("PATCH", Reply(403, {"message": "Resource not accessible by integration"})))
        record = MemoryRecord()
        with pytest.raises(ForgePermissionMissing):
            open_or_update(api, record, WANTED)
        assert record.saved["number"] == 1
        open_or_update(api, record, WANTED)
        assert forge.pull_requests[0].body.count("claude-code-headless:begin") == 1


@each_forge
def test_a_text_for_which_the_forge_has_no_room_is_not_taken_for_new(kind: type[ForgeStandIn]) -> None:
    with serve(kind) as (forge, api):
        record = MemoryRecord()
        first = open_or_update(api, record, WANTED)
        assert isinstance(first, PullRequest)
        assert not lacks_room(api, WANTED, first)
        forge.pull_requests[0].body += "x" * (api.body_limit - len(first.body))
        long = replace(LATER, draft=replace(LATER.draft, body="> " + "longer " * 30))
        result = open_or_update(api, record, long)
        assert isinstance(result, PullRequest)
        assert lacks_room(api, long, result)
        assert "longer" not in forge.pull_requests[0].body


@each_forge
def test_the_mark_of_an_unverified_title_follows_the_run_also_in_a_title_of_somebody_else(
    kind: type[ForgeStandIn],
) -> None:
    def run(number: int, title: str, *, is_verified: bool = False) -> RunRequest:
        draft = replace(WANTED.draft, title=title, is_draft=False)
        return replace(WANTED, draft=draft, run_id=f"run-{number}", is_verified=is_verified)

    with serve(kind) as (forge, api):
        forge.add("By hand", "", "work", "main")
        record = MemoryRecord()
        for wanted, title in (
            (run(1, "A"), "By hand"),
            (run(2, "[unverified] B"), "[unverified] By hand"),
            (run(3, "[unverified] C"), "[unverified] By hand"),
            (run(4, "D"), "[unverified] By hand"),
            (run(5, "E", is_verified=True), "By hand"),
        ):
            record = MemoryRecord()
            # As the step does if the pull request is ready and should be a draft.
            open_or_update(api, record, replace(wanted, draft=replace(wanted.draft, title="X", is_draft=True)))
            open_or_update(api, record, wanted)
            open_or_update(api, record, wanted)
            assert forge.pull_requests[0].title == title
        open_or_update(api, record := MemoryRecord(), run(6, "[unverified] F"))
        forge.pull_requests[0].title = "By hand"
        open_or_update(api, record, run(6, "[unverified] F"))
        assert forge.pull_requests[0].title == "By hand", "a person took the mark away"


@each_forge
def test_a_record_or_an_answer_about_a_request_of_another_branch_changes_nothing_there(
    kind: type[ForgeStandIn],
) -> None:
    with serve(kind) as (forge, api):
        forge.add("somebody's", "words", "other", "main")
        record = MemoryRecord({"number": 1, "head": "work", "base": "main", "title": "somebody's", "section": "words"})
        result = open_or_update(api, record, WANTED)
        assert isinstance(result, PullRequest)
        assert (result.number, result.head) == (2, "work")
        assert (forge.pull_requests[0].title, forge.pull_requests[0].body) == ("somebody's", "words")
