"""Defines what a run has saved so far, in this attempt or an earlier one, on this machine or another."""

import gzip
import json
import logging
from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, Final, Protocol, Self, TypeVar

from flows.errors import StoreUnavailable
from flows.state.files import StateFile
from flows.state.records import Checkpoint, FinishedWork, Plan
from flows.state.store import RunStore
from flows.state.verifications import Round, Verifications

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]

_CHECKPOINTS: Final = (StateFile.CHECKPOINT_0, StateFile.CHECKPOINT_1)
_GZIP_LEVEL: Final = 3


class _Record(Protocol):
    @classmethod
    def unpack(cls, packed: bytes) -> Self: ...


_R = TypeVar("_R", bound=_Record)


class SavedRun:
    """The saved state of one run. Each step reads it to skip work that is finished, and adds the step's own work."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.plan: Plan | None = None
        self.checkpoint: Checkpoint | None = None
        self.finished: FinishedWork | None = None
        self.verifications = Verifications()
        self._earlier_names: set[str] = set()
        self._is_obsolete = False
        """Whether the files of earlier attempts belong to a plan that this program cannot read."""

    def load(self, logger: Logger) -> None:
        """Read the state that earlier attempts saved. Ignore it if another version of this program saved it.

        Raises:
            StoreUnavailable: The run store does not answer.
        """
        self.plan = _read(self.store, StateFile.PLAN, Plan)
        if self.plan is None:
            if fault := self.store.fault(StateFile.PLAN):
                logger.warning("the saved state has %s and cannot be resumed: this run starts over", fault)
                self._is_obsolete = True
            return
        checkpoints = [checkpoint for name in _CHECKPOINTS if (checkpoint := _read(self.store, name, Checkpoint))]
        self.checkpoint = max(checkpoints, key=lambda checkpoint: checkpoint.number, default=None)
        self.finished = _read(self.store, StateFile.CHANGE, FinishedWork)
        self.verifications = _read(self.store, StateFile.VERIFICATION, Verifications) or Verifications()
        self._earlier_names = {StateFile.PLAN}
        if self.finished and self.finished.commit:
            self._earlier_names.add(StateFile.BUNDLE)

    def load_change(self) -> None:
        """Read the run's saved change. Even a failed run may have one, if its agent had finished."""
        if bundle := self.store.read(StateFile.BUNDLE):
            self.finished = replace(self.finished or FinishedWork("", None), bundle=bundle)
            self._earlier_names.add(StateFile.BUNDLE)

    @property
    def without_retries(self) -> Self:
        """A copy of this state for a caller that cannot wait: a failed request to the store is not retried."""
        state = copy(self)
        state.store = self.store.without_retries
        return state

    @property
    def names(self) -> set[str]:
        """The names of the files that the run's report can point to. This attempt or an earlier one saved them."""
        return self._earlier_names | self.store.saved_names

    @property
    def bundle_path(self) -> str:
        """The path of the change's bundle in the run store; empty if no change was saved."""
        return self.store.path(StateFile.BUNDLE) if StateFile.BUNDLE in self.names else ""

    def save_plan(self, plan: Plan) -> None:
        """Save the plan after its instructions were saved. First empty the files of an earlier, unreadable plan."""
        if self._is_obsolete:
            for name in (*_CHECKPOINTS, StateFile.CHANGE, StateFile.VERIFICATION, StateFile.PULL_REQUEST):
                self.store.save(name, b"")
        self.store.save_sealed(StateFile.PLAN, plan.pack())
        self.plan = plan

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Save a checkpoint over the older of the two saved ones. A failed request to the store is not retried."""
        store = self.store.without_retries
        store.save_sealed(_CHECKPOINTS[checkpoint.number % len(_CHECKPOINTS)], checkpoint.pack())
        _save_usage(store, checkpoint.spending)
        self.checkpoint = checkpoint

    def save_finished(self, finished: FinishedWork, logger: Logger) -> None:
        """Save the finished work. If the store does not answer, only log an error: the work can still be pushed."""
        self.finished = finished
        try:
            self.store.save_sealed(StateFile.CHANGE, finished.pack())
        except StoreUnavailable as error:
            logger.error("the finished work could not be saved, but will be pushed: %s", error)  # noqa: TRY400 (a traceback would not help)

    def save_bundle(self, bundle: bytes, logger: Logger) -> None:
        """Save a change as the one that can be delivered. If the store does not answer, only log an error."""
        try:
            self.store.save(StateFile.BUNDLE, bundle)
        except StoreUnavailable as error:
            logger.error("the change could not be saved again: %s", error)  # noqa: TRY400 (a traceback would not help)

    def save_round(self, new: Round, logger: Logger) -> None:
        """Save a verification. If the store does not answer, only log an error: this attempt continues."""
        self.verifications = self.verifications.with_round(new)
        try:
            self.store.save_sealed(StateFile.VERIFICATION, self.verifications.pack())
        except StoreUnavailable as error:
            logger.error("the verification could not be saved: %s", error)  # noqa: TRY400 (a traceback would not help)

    def save_result(
        self,
        bundle: bytes,
        transcript: Iterable[bytes],
        spending: Mapping[str, Any],
        logger: Logger,
        *,
        without_retries: bool = False,
    ) -> None:
        """Save the model's cost, the transcript and the change. This is called before the change is checked.

        Args:
            bundle: The change as a git bundle; empty if nothing is changed.
            transcript: The agent's event stream, redacted and split into portions.
            spending: What the run has spent on the model, in the form that `Meter.spending` returns.
            logger: Receives an error if the store does not answer.
            without_retries: Whether to give up at the first failed request to the store, because time is short.
        """
        store = self.store.without_retries if without_retries else self.store
        store.saved_names.discard(StateFile.BUNDLE)  # it is the change of an earlier attempt
        try:
            _save_usage(store, spending)
            if compressed := _compressed(transcript):
                store.save(StateFile.TRANSCRIPT, compressed)
            if bundle:
                store.save(StateFile.BUNDLE, bundle)
        except StoreUnavailable as error:
            logger.error("the change could not be saved, and exists on this machine only: %s", error)  # noqa: TRY400 (a traceback would not help)


def _read(store: RunStore, name: str, record: type[_R]) -> _R | None:
    content = store.read_sealed(name)
    return record.unpack(content) if content is not None else None


def _save_usage(store: RunStore, spending: Mapping[str, Any]) -> None:
    usage = {**spending, "updated_at": datetime.now(UTC).isoformat(timespec="seconds")}
    store.save(StateFile.USAGE, json.dumps(usage, indent=2).encode() + b"\n")


def _compressed(portions: Iterable[bytes]) -> bytes:
    """Return the portions of a transcript as one gzip file; empty if there are no portions."""
    packed, is_empty = BytesIO(), True
    with gzip.GzipFile("", "wb", compresslevel=_GZIP_LEVEL, fileobj=packed, mtime=0) as file:
        for portion in portions:
            file.write(portion)
            is_empty = False
    return b"" if is_empty else packed.getvalue()
