"""What a later machine needs to go on with a run: the plan, the newest checkpoint, the finished change.

Each is one sealed file of the run store, a zip archive of a description in JSON and what it describes. The instructions
may be large: they lie in parts beside the plan, which is written after them and names them.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, Final, Self
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

from flows.agent.outcome import AgentReport
from flows.instructions.files import InstructionFile, Instructions
from flows.repository.clone import Checkout
from flows.state.store import RunStore

INSTRUCTIONS: Final = "instructions"
_DESCRIPTION: Final = "description.json"
_SLOTS: Final = ("checkpoint-0", "checkpoint-1")


@dataclass(frozen=True)
class Plan:
    """Where a run's work starts from: what any later execution of it starts from as well."""

    repo_url: str
    checkout: Checkout
    instructions: Instructions
    started_at: datetime
    """What the commit will be dated."""
    parts: tuple[str, ...] = ()
    """The digests of what `flows.state.chunks` keeps as INSTRUCTIONS: the files' bytes, one after the other."""


@dataclass(frozen=True)
class Checkpoint:
    """The work so far: the tree as a bundle on top of the base, and the conversation."""

    number: int
    commit: str
    """The commit in the bundle; empty where nothing is changed yet."""
    spent: Mapping[str, Any]
    session_id: str = ""
    bundle: bytes = b""
    session: bytes = b""


@dataclass(frozen=True)
class Finished:
    """The agent's work when it was done."""

    commit: str
    """Empty where there was nothing to change."""
    report: AgentReport
    bundle: bytes = b""


@dataclass(frozen=True)
class Keepings:
    """What an earlier execution of the run left; nothing, in the first."""

    plan: Plan | None = None
    checkpoint: Checkpoint | None = None
    finished: Finished | None = None

    @classmethod
    def load(cls, store: RunStore) -> Self:
        """Read them. Without a plan the rest has no ground to stand on."""
        plan = _plan(store.unseal("plan"))
        if plan is None:
            return cls()
        found = [checkpoint for slot in _SLOTS if (checkpoint := _checkpoint(store.unseal(slot)))]
        newest = max(found, key=lambda checkpoint: checkpoint.number, default=None)
        return cls(plan, newest, _finished(store.unseal("change")))


def keep_plan(store: RunStore, plan: Plan) -> None:
    """Keep where the work starts from; its parts are there by then."""
    description = {
        "repo_url": plan.repo_url,
        "checkout": asdict(plan.checkout),
        "instructions": asdict(plan.instructions),
        "started_at": plan.started_at.isoformat(),
        "parts": plan.parts,
    }
    store.seal("plan", _pack(description, {}))


def keep_checkpoint(store: RunStore, checkpoint: Checkpoint) -> None:
    """Keep the work so far, in place of the checkpoint before the last one."""
    description = {name: getattr(checkpoint, name) for name in ("number", "commit", "spent", "session_id")}
    packed = _pack(description, {"bundle": checkpoint.bundle, "session": checkpoint.session})
    store.seal(_SLOTS[checkpoint.number % len(_SLOTS)], packed)
    keep_usage(store, checkpoint.spent)


def keep_finished(store: RunStore, finished: Finished) -> None:
    """Keep the finished change; from here on no agent is started for this run."""
    description = {"commit": finished.commit, "report": asdict(finished.report)}
    store.seal("change", _pack(description, {"bundle": finished.bundle}))


def keep_usage(store: RunStore, spent: Mapping[str, Any]) -> None:
    """Keep what the run has spent on the model so far, over all its executions, for whoever adds costs up."""
    usage = {**spent, "updated_at": datetime.now(UTC).isoformat(timespec="seconds")}
    store.keep("usage.json", json.dumps(usage, indent=2).encode() + b"\n")


def _plan(packed: bytes | None) -> Plan | None:
    description, _ = _unpack(packed)
    if not description:
        return None
    instructions = description["instructions"]
    taken = tuple(InstructionFile(**file) for file in instructions.pop("files"))
    started_at = datetime.fromisoformat(description["started_at"])
    checkout, parts = Checkout(**description["checkout"]), tuple(description["parts"])
    return Plan(description["repo_url"], checkout, Instructions(files=taken, **instructions), started_at, parts)


def _checkpoint(packed: bytes | None) -> Checkpoint | None:
    description, files = _unpack(packed)
    return Checkpoint(bundle=files["bundle"], session=files["session"], **description) if description else None


def _finished(packed: bytes | None) -> Finished | None:
    description, files = _unpack(packed)
    if not description:
        return None
    report = description["report"]
    denials = tuple(report.pop("permission_denials"))
    return Finished(description["commit"], AgentReport(permission_denials=denials, **report), files["bundle"])


def _pack(description: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    packed = BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(_DESCRIPTION, json.dumps(description))
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def _unpack(packed: bytes | None) -> tuple[dict[str, Any], dict[str, bytes]]:
    if packed is None:
        return {}, {}
    try:
        with ZipFile(BytesIO(packed)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
    except BadZipFile:
        return {}, {}
    return json.loads(files.pop(_DESCRIPTION)), files
