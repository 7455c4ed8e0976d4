"""Defines the report of an agent that has finished its work."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from flows.model.cache_use import CacheUse

_AFTER_REPAIR: Final = "After a failed verification:"


class WorkStatus(StrEnum):
    """What the agent says about its work."""

    DONE = "done"
    PARTLY = "partly"
    """Some of the requirements are not implemented."""
    BLOCKED = "blocked"
    """Something that the agent cannot change prevents the work."""
    NEEDS_INPUT = "needs_input"
    """The agent has questions without whose answers it cannot go on."""
    UNKNOWN = ""
    """The agent did not say."""


@dataclass(frozen=True)
class ReviewReply:
    """The agent's answer to a comment of a review."""

    comment: int
    """The number of the comment in the request, counted from 1."""
    text: str
    is_changed: bool = False
    """Whether the agent has changed files because of the comment, in its own words."""


@dataclass(frozen=True)
class AgentReport:
    """The agent's final answer, and figures about its work. The cost covers all attempts of the run."""

    summary: str
    turns: int
    cost_usd: float
    duration_seconds: float
    session_id: str
    model_usage: dict[str, Any]
    """The token counts of each model, in the format of Claude Code's `modelUsage`."""
    permission_denials: tuple[str, ...]
    """The names of the tools in the denied calls, one name for each call."""
    denied_paths: tuple[str, ...] = ()
    """The files of the work tree that the agent was denied access to, without those that the change contains."""
    cache: CacheUse = field(default_factory=CacheUse)
    """What the provider's prompt cache did for the run, over all attempts."""
    status: WorkStatus = WorkStatus.UNKNOWN
    title: str = ""
    """What the change does, on one line; empty if the agent did not say."""
    questions: tuple[str, ...] = ()
    """What the agent asks the operator."""
    not_done: tuple[str, ...] = ()
    """The requirements that the agent left undone."""
    replies: tuple[ReviewReply, ...] = ()
    """The answers to the comments of a review."""
    claude_code_version: str = ""
    """The version of the Claude Code that ended the work; empty if it did not say."""

    @property
    def is_complete(self) -> bool:
        """Whether the agent says that it has left nothing undone."""
        return self.status is WorkStatus.DONE and not self.not_done

    def after(self, earlier: "AgentReport | None", *, is_repair: bool) -> "AgentReport":
        """Return the report of continued work together with that of the work before it.

        The cost is the whole run's already. The message before a repair says what the change is and what it lacks, so
        it stays: a repair is about the failed checks, and does not say again what was left undone.
        """
        if earlier is None:
            return self
        return replace(
            self,
            status=earlier.status if is_repair and self.status in _SAYS_NO_MORE else self.status,
            questions=_joined(earlier.questions, self.questions) if is_repair else self.questions,
            not_done=_joined(earlier.not_done, self.not_done) if is_repair else self.not_done,
            title=(is_repair and earlier.title) or self.title,
            replies=_joined_replies(earlier.replies, self.replies) if is_repair else self.replies,
            summary=f"{earlier.summary}\n\n{_AFTER_REPAIR}\n\n{self.summary}" if is_repair else self.summary,
            turns=earlier.turns + self.turns,
            duration_seconds=earlier.duration_seconds + self.duration_seconds,
            model_usage=_sum(earlier.model_usage, self.model_usage),
            permission_denials=earlier.permission_denials + self.permission_denials,
            denied_paths=tuple(dict.fromkeys(earlier.denied_paths + self.denied_paths)),
        )


_SAYS_NO_MORE: Final = frozenset({WorkStatus.UNKNOWN, WorkStatus.DONE})


def _joined(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(first + second))


def _joined_replies(first: tuple[ReviewReply, ...], second: tuple[ReviewReply, ...]) -> tuple[ReviewReply, ...]:
    """Return the answers after a repair, in which the agent may answer some comments again."""
    replies = {reply.comment: reply for reply in first}
    for reply in second:
        earlier = replies.get(reply.comment)
        replies[reply.comment] = replace(reply, is_changed=True) if earlier and earlier.is_changed else reply
    return tuple(replies.values())


def _sum(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sums of the numbers in two of Claude Code's `modelUsage`. Any other value is that of the second."""
    sums = {**first, **second}
    for key in first.keys() & second.keys():
        match first[key], second[key]:
            case dict() as one, dict() as other:
                sums[key] = _sum(one, other)
            case int() | float() as one, int() | float() as other:
                sums[key] = one + other
    return sums
