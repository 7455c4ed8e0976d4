"""Keeps the record of a run's pull request in the run store, so that a later attempt or delivery knows it."""

import json
from collections.abc import Mapping
from typing import Any

from flows.errors import StoreUnavailable
from flows.state.files import StateFile
from flows.state.saved_run import Logger
from flows.state.store import RunStore


class PullRequestRecord:
    """The record of one run's pull request.

    The forge is asked first, so the record is only a help. If the store does not answer, the run goes on without it.
    """

    def __init__(self, store: RunStore, logger: Logger) -> None:
        self._store = store
        self._logger = logger
        self._record: Mapping[str, Any] | None = None

    def load(self) -> Mapping[str, Any] | None:
        """Return what was saved last; None if nothing was."""
        if self._record is None:
            try:
                content = self._store.read_sealed(StateFile.PULL_REQUEST)
            except StoreUnavailable as error:
                self._logger.warning("the record of the pull request could not be read: %s", error)
                return None
            self._record = json.loads(content) if content else None
        return self._record

    def save(self, record: Mapping[str, Any]) -> None:
        """Save the record. If the store does not answer, only log an error."""
        self._record = record
        try:
            self._store.save_sealed(StateFile.PULL_REQUEST, json.dumps(record).encode())
        except StoreUnavailable as error:
            self._logger.error("the record of the pull request could not be saved: %s", error)  # noqa: TRY400 (a traceback would not help)
