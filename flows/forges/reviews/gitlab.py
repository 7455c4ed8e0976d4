"""The API of GitLab for reviews and issues (https://docs.gitlab.com/api/discussions/)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from flows.forges.api.client import NOT_FOUND, Answer
from flows.forges.api.gitlab import GitLabApi
from flows.forges.reviews.base import ReviewApi
from flows.forges.reviews.conversation import Author, Comment, FailedCheck, Issue, Thread, WriteAccess
from flows.forges.reviews.parsing import line_number, moment, moment_after, number_text, text_of

_DEVELOPER: Final = 30
_FAILED: Final = frozenset({"failed"})
_BOT: Final = re.compile(r"(project|group)_\d+_bot(_\w+)?|service_account_\w+|ghost|gitlab-bot")
"""The names of accounts that belong to a token. The list of notes does not tell what is a bot."""
_ID: Final = re.compile(r"[0-9a-f]{1,64}")
_EDITED: Final = re.compile(r"changed (the description|title)")
"""The notes that GitLab itself writes after an edit of an issue."""


class GitLabReviews(ReviewApi, GitLabApi):
    """GitLab has one list of discussions, in which the notes that it writes itself stand among those of people."""

    def _threads(self, number: int, action: str) -> Iterator[Thread]:
        head = self._head(number, action)
        path = f"{self._path}/merge_requests/{number}/discussions"
        for each in self._newest_last(path, action):
            notes = [note for note in each["notes"] if _is_shown(note)]
            resolvable = [note for note in notes if note.get("resolvable")]
            position: dict[str, Any] = next((note["position"] for note in notes if note.get("position")), {})
            yield Thread(
                text_of(each["id"]),
                tuple(self._parse_comment(note) for note in notes),
                text_of(position.get("new_path") or position.get("old_path")),
                line_number(position.get("new_line"), position.get("old_line")),
                bool(resolvable) and all(note.get("resolved") for note in resolvable),
                bool(head and position.get("head_sha")) and position["head_sha"] != head,
            )

    def _head(self, number: int, action: str) -> str:
        """Return the newest commit. GitLab moves a note to it, unless its lines have changed."""
        request = self._granted(self._get(number), action)
        return text_of((request.get("diff_refs") or {}).get("head_sha"))

    def _may_write(self, author: Author) -> WriteAccess:
        answer = self._client.send("GET", f"{self._path}/members/all/{quote(author.id)}")
        if answer.status == NOT_FOUND:
            return WriteAccess.NO
        member = self._granted(answer, f"show the role of {author.login}")
        is_writer = str(member["id"]) == author.id and member["access_level"] >= _DEVELOPER
        return WriteAccess.YES if is_writer and _is_active(member) else WriteAccess.NO

    def _own_account(self) -> Author:
        return _author(self._granted(self._client.send("GET", "/user"), "show the account of the token"))

    def _reply(self, number: int, thread: Thread, text: str) -> Answer:
        if not _ID.fullmatch(thread.id):
            raise ValueError(thread.id)
        path = f"{self._path}/merge_requests/{number}/discussions/{thread.id}/notes"
        return self._client.send("POST", path, body={"body": text})

    def _comment(self, number: int, text: str) -> Answer:
        return self._client.send("POST", f"{self._path}/merge_requests/{number}/notes", body={"body": text})

    def _edit_comment(self, number: int, comment_id: str, text: str) -> Answer:
        path = f"{self._path}/merge_requests/{number}/notes/{comment_id}"
        return self._client.send("PUT", path, body={"body": text})

    def _check_sources(self, commit: str) -> Sequence[Iterator[FailedCheck]]:
        return (self._failed_jobs(commit),)

    def _failed_jobs(self, commit: str) -> Iterator[FailedCheck]:
        """Yield the failed jobs of pipelines, and the failed statuses that others have set."""
        path, action = f"{self._path}/repository/commits/{quote(commit)}/statuses", "list the jobs of the commit"
        for each in self._list(path, action):
            if each["status"] in _FAILED and not each.get("allow_failure"):
                page = self._own_page(each.get("target_url"))
                yield FailedCheck(text_of(each["name"]), page, text_of(each.get("description")))

    def _issue(self, number: int, action: str) -> Issue:
        path = f"{self._path}/issues/{number}"
        issue = self._granted(self._existing(self._client.send("GET", path), number), action)
        query = {"sort": "desc", "order_by": "created_at"}
        notes = self._newest_first(self._list(f"{path}/notes", action, query=query))
        edits = [note["created_at"] for note in notes if note.get("system") and _EDITED.match(text_of(note["body"]))]
        if self._is_cut:
            edits.append(issue["updated_at"])
        created = moment(issue["created_at"])
        edited = max((created, *map(moment, edits)))
        text = text_of(issue.get("description"))
        return Issue(
            number,
            f"{self.repository.page}/-/issues/{number}",
            text_of(issue["title"]),
            Comment(str(number), _author(issue["author"]), text, created, edited),
            edited,
            issue["state"] == "opened",
            tuple(self._parse_comment(note) for note in notes if _is_shown(note)),
            self._omission("comments"),
        )

    def _comment_on_issue(self, number: int, text: str) -> Answer:
        return self._client.send("POST", f"{self._path}/issues/{number}/notes", body={"body": text})

    def _parse_comment(self, comment: Mapping[str, Any]) -> Comment:
        created = moment(comment["created_at"])
        edited = moment_after(created, comment.get("updated_at"))
        author, text = _author(comment["author"]), text_of(comment["body"])
        return Comment(number_text(comment["id"]), author, text, created, edited)


def _is_active(member: Mapping[str, Any]) -> bool:
    """Whether neither the account nor the membership is blocked, waits for an approval, or has ended."""
    end = member.get("expires_at")  # GitLab removes the membership some hours later
    has_ended = bool(end) and moment(end) <= datetime.now(UTC)
    return not has_ended and {member.get(name, "active") for name in ("state", "membership_state")} == {"active"}


def _is_shown(note: Mapping[str, Any]) -> bool:
    return not (note.get("system") or note.get("internal") or note.get("confidential"))


def _author(user: Mapping[str, Any] | None) -> Author:
    if user is None:
        return Author("", "a former user")
    login = text_of(user["username"])
    return Author(number_text(user["id"]), login, bool(user.get("bot") or _BOT.fullmatch(login)))
