"""Names the files that a run saves in the run store, in the folder `claude-code-headless/<flow run id>/`."""

from enum import StrEnum
from typing import Final

FOLDER: Final = "claude-code-headless"
"""The folder of Prefect's result storage in which each run has a folder of its own."""

CACHES: Final = "caches"
"""The folder in `FOLDER` for files that the setup made, beside the folders of the runs."""

BRANCHES: Final = "branches"
"""The folder in `FOLDER` for the records of the branches that runs have pushed, beside the folders of the runs."""


class StateFile(StrEnum):
    """The names of the files that a run can save."""

    REQUEST = "request.json"
    """The run's parameters, redacted."""
    INSTRUCTIONS = "instructions"
    """The instruction files as they were downloaded, in chunks: instructions-0, instructions-1, …"""
    PLAN = "plan"
    """The run's plan: the commit that the work starts from, and the list of the instruction files."""
    CHECKPOINT_0 = "checkpoint-0"
    """The work so far. A run writes checkpoint-0 and checkpoint-1 in turn. Of the complete ones, the newer counts."""
    CHECKPOINT_1 = "checkpoint-1"
    CHANGE = "change"
    """The finished change, and the agent's report on its work."""
    VERIFICATION = "verification"
    """The results of the verify commands, for each finished change."""
    PULL_REQUEST = "pull-request"
    """The number, the title and the text of the pull request that the run has opened."""
    REVIEW = "review"
    """What a run of follow_up was asked for: the comments that it hears, and the commit that they are about."""
    REPLIES = "replies"
    """The threads of the review that the run has answered, and the id of its summary."""
    COMMENT_KEY = "comment-key"
    """The secret by which the run knows its own comments."""
    ISSUE = "issue"
    """The id of the comment that the run has written on the issue which is its instructions."""
    BUNDLE = "change.bundle"
    """The change as a git bundle, for `git fetch`. A failed run may save this file, too."""
    TRANSCRIPT = "transcript.jsonl.gz"
    """The agent's event stream, redacted."""
    TRANSCRIPT_PAGE = "transcript.html"
    """The transcript as an HTML page for a browser."""
    USAGE = "usage.json"
    """What the run has spent on the model so far: tokens, replies, US dollars."""
    REPORT = "report.md"
    """The report of the run."""
    LEASE = "lease"
    """The id of the run's newest attempt. Only this attempt may write to the run store."""
