"""Defines the records from which a run is resumed: the plan, the newest checkpoint and the finished work.

Each record is one file of the run store, sealed with a checksum: a zip archive of a JSON description and of the content
that it describes, such as a git bundle. The instructions may be large, so they are saved as chunks in files of their
own. The plan is written after the chunks, and holds the digests of the chunks.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from io import BytesIO
from typing import Any, Final, Self
from zipfile import ZIP_DEFLATED, ZipFile

from flows.instructions.files import InstructionFile, Instructions, IssueSource
from flows.model.cache_use import CacheUse
from flows.repository.clone import Checkout
from flows.repository.left_aside import LeftAside
from flows.sandbox.services import Service
from flows.state.agent_report import AgentReport, ReviewReply, WorkStatus

_DESCRIPTION: Final = "description.json"


@dataclass(frozen=True)
class Plan:
    """The repository, base commit and instructions that a run's work starts from, the same for every attempt."""

    repo_url: str
    checkout: Checkout
    instructions: Instructions
    started_at: datetime
    """When the run's work started. The run's commit gets this date."""
    chunks: tuple[str, ...] = ()
    """The digests of the saved chunks, which hold the instruction files one after the other."""

    def pack(self) -> bytes:
        """Return the plan as bytes, from which `unpack` can restore it."""
        description = {
            "repo_url": self.repo_url,
            "checkout": asdict(self.checkout),
            "instructions": asdict(self.instructions),
            "started_at": self.started_at.isoformat(),
            "chunks": self.chunks,
        }
        return _pack(description, {})

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Return the plan that `pack` turned into these bytes."""
        description, _ = _unpack(packed)
        instructions, checkout = description["instructions"], description["checkout"]
        files = tuple(InstructionFile(**file) for file in instructions.pop("files"))
        # Earlier versions saved less.
        issue = instructions.pop("issue", None)
        instructions["issue"] = IssueSource(**{**issue, "unheard": tuple(issue["unheard"])}) if issue else None
        services = tuple(Service(**service) for service in checkout.get("services", ()))
        paths = {name: tuple(checkout.get(name, ())) for name in ("cache", "junit")}
        return cls(
            repo_url=description["repo_url"],
            checkout=Checkout(**{**checkout, **paths, "services": services}),
            instructions=Instructions(files=files, **instructions),
            started_at=datetime.fromisoformat(description["started_at"]),
            chunks=tuple(description["chunks"]),
        )


@dataclass(frozen=True)
class Checkpoint:
    """The work so far: the work tree as a git bundle on top of the base commit, the conversation, and the spending."""

    number: int
    commit: str
    """The commit that the bundle contains; the base commit if nothing is changed yet."""
    spending: Mapping[str, Any]
    """What the run has spent on the model so far, in the form that `Meter.spending` returns."""
    session_id: str = ""
    bundle: bytes = b""
    session: bytes = b""
    """Claude Code's own record of the conversation, redacted."""
    round: int = 0
    """The number of the repair that this is the work of, from its first moment; 0 before the first repair."""
    worked_seconds: float = 0
    """How long the agent had worked, over all its processes."""
    feedback: int = 0
    """How many times the operator had given feedback."""

    def pack(self) -> bytes:
        """Return the checkpoint as bytes, from which `unpack` can restore it."""
        names = ("number", "commit", "spending", "session_id", "round", "worked_seconds", "feedback")
        description = {name: getattr(self, name) for name in names}
        return _pack(description, {"bundle": self.bundle, "session": self.session})

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Return the checkpoint that `pack` turned into these bytes."""
        description, files = _unpack(packed)
        return cls(bundle=files["bundle"], session=files["session"], **description)


@dataclass(frozen=True)
class FinishedWork:
    """The agent's finished work. A run that has saved this record starts an agent again only to repair the change."""

    commit: str
    """The id of the commit that is the change; empty if there was nothing to change."""
    report: AgentReport | None
    """The agent's report; None if this is the change of a failed run that is delivered later."""
    bundle: bytes = b""
    notes: tuple[str, ...] = ()
    """What a reviewer of the change has to know."""
    left_aside: tuple[LeftAside, ...] = ()
    """Work that the bundle contains, but that is not part of the change."""
    round: int = 0
    """How many repairs the change has had, since the last feedback."""
    feedback: int = 0
    """How many times the operator had given feedback before."""

    def pack(self) -> bytes:
        """Return the finished work as bytes, from which `unpack` can restore it."""
        description = {
            "commit": self.commit,
            "report": asdict(self.report) if self.report else None,
            "notes": self.notes,
            "left_aside": [asdict(work) for work in self.left_aside],
            "round": self.round,
            "feedback": self.feedback,
        }
        return _pack(description, {"bundle": self.bundle})

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Return the finished work that `pack` turned into these bytes."""
        description, files = _unpack(packed)
        report = description["report"]
        if report:
            for name in {"permission_denials", "denied_paths", "questions", "not_done"} & report.keys():
                report[name] = tuple(report[name])
            report["status"] = WorkStatus(report.get("status", ""))
            report["replies"] = tuple(ReviewReply(**reply) for reply in report.get("replies", ()))
            report["cache"] = CacheUse(**report.get("cache", {}))  # earlier versions did not save it
        return cls(
            commit=description["commit"],
            report=AgentReport(**report) if report else None,
            bundle=files["bundle"],
            notes=tuple(description["notes"]),
            left_aside=tuple(
                LeftAside(**{**work, "paths": tuple(work["paths"])}) for work in description["left_aside"]
            ),
            round=description.get("round", 0),  # earlier versions saved neither
            feedback=description.get("feedback", 0),
        )


def _pack(description: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    packed = BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(_DESCRIPTION, json.dumps(description))
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def _unpack(packed: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    with ZipFile(BytesIO(packed)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return json.loads(files.pop(_DESCRIPTION)), files
