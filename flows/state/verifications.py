"""Defines the record of a run's verifications: one round for each finished work, so that none is run twice."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from flows.verification.results import CommandResult, Status, TestCounts, Verdict, Verification


@dataclass(frozen=True)
class Round:
    """The verification of one finished work."""

    number: int
    """How many repairs the work had before."""
    key: tuple[str, ...]
    """What decided the result besides the work: the verify commands, and a hash of the setup and the limits. A later
    attempt of the run may have others."""
    commit: str
    """The commit that was verified."""
    verification: Verification
    seconds: float = 0
    """How long the verification took."""
    worked_seconds: float = 0
    """How long the agent had worked before this verification, over all its processes."""
    spent_usd: float = 0
    """What the model had cost before this verification, in US dollars, over the whole run."""
    is_delivery: bool = False
    """Whether a delivery verified the work again."""


@dataclass(frozen=True)
class Verifications:
    """All rounds of a run, in their order."""

    rounds: tuple[Round, ...] = ()

    def with_round(self, new: Round) -> Self:
        """Return a copy with one more round. It replaces an earlier one with its number, and those after that."""
        return replace(self, rounds=(*(each for each in self.rounds if each.number < new.number), new))

    def with_delivery(self, new: Round) -> Self:
        """Return a copy with the round of a delivery, beside those of the run that made the change."""
        return replace(self, rounds=(*self.rounds, new))

    def without(self, number: int) -> Self:
        """Return a copy without the round with this number, so that its work is verified again."""
        return replace(self, rounds=tuple(each for each in self.rounds if each.number != number))

    def of(self, number: int, key: tuple[str, ...]) -> Round | None:
        """Return the round with this number if it had this key."""
        return next((each for each in self.rounds if (each.number, each.key) == (number, key)), None)

    def of_tree(self, tree: str, key: tuple[str, ...] = ()) -> Verification | None:
        """Return the newest verification of a tree, with this key if there is one; None if there is none."""
        rounds = (each for each in reversed(self.rounds) if not key or each.key == key)
        return next((each.verification for each in rounds if each.verification.tree == tree), None)

    def of_commit(self, commit: str) -> Verification | None:
        """Return the newest verification of a commit; None if it was not verified."""
        return next((each.verification for each in reversed(self.rounds) if each.commit == commit), None)

    def baseline(self, key: tuple[str, ...]) -> tuple[CommandResult, ...] | None:
        """Return the results on the base commit of the verifications with this key.

        The results are empty if the base commit could not be set up, and None if the commands have not run there.
        """
        verifications = (each.verification for each in reversed(self.rounds) if each.key == key)
        return next((each.baseline for each in verifications if each.baseline or each.baseline_fault), None)

    def is_repairable(self, number: int, key: tuple[str, ...]) -> bool:
        """Whether this round failed, and its work is another one than that of the round before.

        A repair that changed nothing would be repeated in vain.
        """
        last, previous = self.of(number, key), self.of(number - 1, key)
        if last is None or last.verification.status is not Status.FAILED:
            return False
        return previous is None or previous.verification.tree != last.verification.tree

    def pack(self) -> bytes:
        """Return the record as bytes, from which `unpack` can restore it."""
        return json.dumps([asdict(each) for each in self.rounds]).encode()

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Return the record that `pack` turned into these bytes."""
        return cls(tuple(_round(description) for description in json.loads(packed)))


def _round(description: Mapping[str, Any]) -> Round:
    verification = description["verification"]
    lists = {name: _results(verification[name]) for name in ("results", "baseline", "failures")}
    changed = tuple(verification["changed_checks"])
    return Round(
        **{
            **description,
            "key": tuple(description["key"]),
            "verification": Verification(**{**verification, **lists, "changed_checks": changed}),
        }
    )


def _results(descriptions: list[dict[str, Any]]) -> tuple[CommandResult, ...]:
    return tuple(_result(**description) for description in descriptions)


def _result(
    verdict: str,
    tests: dict[str, Any] | None,
    lines: list[str] | None,
    unmatched_junit: list[str],
    **fields: Any,  # noqa: ANN401 (of each field's type)
) -> CommandResult:
    counts = TestCounts(**{**tests, "failed_names": tuple(tests["failed_names"])}) if tests else None
    hashes = None if lines is None else tuple(lines)
    unmatched = tuple(unmatched_junit)
    return CommandResult(verdict=Verdict(verdict), tests=counts, lines=hashes, unmatched_junit=unmatched, **fields)
