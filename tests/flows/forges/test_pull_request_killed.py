"""A run has one pull request, also if its process is killed at any moment, several times in a row."""

import json
import os
import random
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows.forges.api.base import PullRequestDraft
from flows.forges.pull_request import RunRequest, open_or_update
from tests.support.forges.stand_in import ForgeStandIn
from tests.support.forges.stand_ins import STAND_INS, open_stand_in

WANTED = RunRequest(
    PullRequestDraft("Add a page", "> Why", "work", "main"), "5f3c0000-0000-4000-8000-000000000001", "c0ffee"
)
SEEDS = range(20)
MOMENTS = ("before write", "during write", "after write", "before save", "after save", "never")


@dataclass
class FileRecord:
    """A record in a file, which can end the process before or after it saves."""

    path: Path
    on_save: Callable[[str], None]

    def load(self) -> Mapping[str, Any] | None:
        return json.loads(self.path.read_text()) if self.path.exists() else None

    def save(self, record: Mapping[str, Any]) -> None:
        self.on_save("before save")
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(record))
        new.replace(self.path)
        self.on_save("after save")


@pytest.mark.parametrize("kind", STAND_INS, ids=[kind.name for kind in STAND_INS])
def test_a_process_that_is_killed_at_any_moment_leads_to_one_request(kind: type[ForgeStandIn], tmp_path: Path) -> None:
    kills = set()
    with kind() as forge:
        for seed in SEEDS:
            forge.pull_requests.clear()
            forge.requests.clear()
            moments = random.Random(seed).choices(MOMENTS, k=4)  # noqa: S311 (the same in each process)
            ended = [_attempt(forge, tmp_path / f"{seed}.json", moment) for moment in [*moments, "never"]]
            assert ended[-1] == 0, (seed, moments, ended)
            kills |= {moment for moment, status in zip(moments, ended, strict=False) if status == -signal.SIGKILL}
            assert len(forge.pull_requests) == 1, (seed, moments)
            record = json.loads((tmp_path / f"{seed}.json").read_text())
            assert (record["number"], record["title"]) == (1, "Add a page")
            created = [each for each in forge.writes() if each.method == "POST"]
            assert len(created) <= 1 + moments.count("before write"), (seed, moments)
        forge.check_contract()
    assert kills == {*MOMENTS} - {"never"}


def _attempt(forge: ForgeStandIn, path: Path, moment: str) -> int:
    """Open the pull request in another process, which is killed at a moment; return its exit status."""
    start, go = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.read(start, 1)
            with open_stand_in(forge) as api:
                record = FileRecord(path, lambda now: os.kill(os.getpid(), signal.SIGKILL) if now == moment else None)
                open_or_update(api, record, WANTED)
            os._exit(0)
        finally:
            os._exit(1)

    def kill(now: str) -> None:
        if f"{now} write" == moment or (now, moment) == ("before", "during write"):
            os.kill(pid, signal.SIGKILL)
        if f"{now} write" == moment == "before write":
            raise ConnectionAbortedError

    forge.on_write = kill
    os.write(go, b"x")
    os.close(go)
    os.close(start)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
