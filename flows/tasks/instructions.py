"""The step `instructions`: copies files from S3, an issue or a text to read-only files beside the work tree."""

from dataclasses import replace

from prefect import get_run_logger

from flows.aws.credentials import new_session
from flows.aws.session import client_config
from flows.instructions.files import Instructions, from_text, restore
from flows.instructions.s3 import PARALLEL, from_s3
from flows.repository.credentials import GitCredentials
from flows.run.rounds import needs_work_tree
from flows.run.run import FollowUpRun, Run
from flows.state.chunks import DamagedChunk, read_chunks
from flows.state.files import StateFile
from flows.state.records import Plan
from flows.state.saved_run import SavedRun
from flows.tasks.issue import read_issue
from flows.tasks.task import step


@step("instructions")
def fetch_instructions(run: Run, credentials: GitCredentials) -> Instructions:
    """Return the instructions that an earlier attempt saved, or what S3, the issue or the parameter contains now."""
    if plan := run.saved.plan:
        if needs_work_tree(run) and not _restore(run, plan, run.saved):
            _fetch(run, credentials)
        return plan.instructions
    if isinstance(run, FollowUpRun) and (plan := run.earlier.plan) and _restore(run, plan, run.earlier):
        return _continued(run.earlier, plan.instructions)
    return _fetch(run, credentials)


def _continued(earlier: SavedRun, instructions: Instructions) -> Instructions:
    """Return the instructions for a later run on the branch. It does not know whether it does what was left undone."""
    issue, report = instructions.issue, earlier.finished.report if earlier.finished else None
    if issue is None or (report and report.is_complete):
        return instructions
    return replace(instructions, issue=replace(issue, is_partly_done=True))


def _restore(run: Run, plan: Plan, saved: SavedRun) -> bool:
    """Write the saved instruction files, and return whether this was possible.

    If chunks are missing or damaged, log a warning and return False.
    """
    chunks = read_chunks(saved.store, StateFile.INSTRUCTIONS, plan.chunks)
    try:
        restore(run.workspace, plan.instructions.files, chunks)
    except DamagedChunk as damage:
        get_run_logger().warning(
            "the saved instructions are damaged, so they are read again from %s: %s", plan.instructions.source, damage
        )
        return False
    return True


def _fetch(run: Run, credentials: GitCredentials) -> Instructions:
    request = run.request
    if page := request.issue:
        return read_issue(run, credentials, page)
    if request.instructions_s3_uri is None:
        return from_text(run.workspace, request.instructions)
    client = new_session(request.aws_region).client("s3", config=client_config(PARALLEL))
    instructions = from_s3(run.workspace, client, request.instructions_s3_uri)
    logger = get_run_logger()
    count = f"{len(instructions.files)} file{'s' if len(instructions.files) != 1 else ''}"
    logger.info("%s: %s, main file: %s", instructions.source, count, instructions.main or "none")
    for file in instructions.files:
        logger.debug("%s: %d bytes, ETag %s, version %s", file.path, file.size, file.etag, file.version_id or "none")
    return instructions
