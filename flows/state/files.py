"""The names of the files that a run saves below `claude-code-headless/<flow run id>/` of the run store."""

from enum import StrEnum
from typing import Final

FOLDER: Final = "claude-code-headless"
"""The folder of the run store that holds a folder for each run."""


class StateFile(StrEnum):
    """The name of one file of a run."""

    REQUEST = "request.json"
    """The run's parameters, redacted."""
    INSTRUCTIONS = "instructions"
    """The instruction files as they were downloaded, in chunks: instructions-0, instructions-1, …"""
    PLAN = "plan"
    """The commit from which the work starts, and the list of its instructions."""
    CHECKPOINT_0 = "checkpoint-0"
    """The work so far. The files checkpoint-0 and checkpoint-1 are written in turn; the newer complete file counts."""
    CHECKPOINT_1 = "checkpoint-1"
    CHANGE = "change"
    """The finished change, and the agent's report of it."""
    BUNDLE = "change.bundle"
    """The change as a git bundle, for `git fetch`. A failed run may save this file, too."""
    TRANSCRIPT = "transcript.jsonl.gz"
    """The agent's event stream, redacted."""
    TRANSCRIPT_PAGE = "transcript.html"
    """The transcript as a page for a browser."""
    USAGE = "usage.json"
    """The cost of the model so far: tokens, replies, US dollars."""
    REPORT = "report.md"
    """The report of the run."""
    LEASE = "lease"
    """The id of the newest attempt of the run. Only this attempt may write."""
