"""Fetches the branch that a pull request is for, and merges it into the work tree if a follow-up asks for that."""

from dataclasses import replace

from prefect import get_run_logger

from flows.errors import BaseRefNotFound, InvalidFollowUp, RunError
from flows.repository import snapshot
from flows.repository.base_branch import commit_of_tree, compare, merge
from flows.repository.clone import Checkout
from flows.repository.credentials import GitCredentials
from flows.repository.start_point import StartPoint
from flows.run.run import FollowUpRun
from flows.state.records import Plan
from flows.tasks.clone import LoggedProgress, remote


def with_base(run: FollowUpRun, credentials: GitCredentials, checkout: Checkout) -> Checkout:
    """Return the checkout with the commit to merge, after the base branch is fetched.

    Raises:
        BaseRefNotFound: Somebody has deleted the branch since the review was read.
        InvalidFollowUp: The branch cannot be merged, or it is not known into which branch the work goes.
    """
    [review] = run.reviews
    if not checkout.continues:
        raise BaseRefNotFound(
            f"the branch {checkout.branch!r} was deleted on the remote after the review was read: restore it, or start "
            "a new run of implement"
        )
    base, is_wanted = review.base or run.request.pull_request.pull_request_base, run.parameters.merge_base
    if not base and is_wanted:
        raise InvalidFollowUp(
            "merge_base is set, and the branch has no pull request that says into which branch it goes: open one, or "
            "leave merge_base out"
        )
    if not base:
        return checkout
    _fetch(run, credentials, base, is_needed=is_wanted)
    state = compare(run.workspace.clean_git, checkout.base_commit, base)
    if not is_wanted or state is None or not state.has_moved:
        return checkout
    if state.merge is None:
        raise InvalidFollowUp(
            f"{base} cannot be merged: the fetched history has no commit that both branches have, or this machine's "
            "git is older than 2.38: set clone_depth=0 to fetch the whole history, or update git"
        )
    return replace(checkout, merged_commit=state.commit, merged_branch=base)


def prepare_merge(run: FollowUpRun, credentials: GitCredentials, plan: Plan) -> None:
    """Put the merge into the new work tree, as uncommitted changes. The agent resolves the conflicts."""
    clean, head, other = run.workspace.clean_git, plan.checkout.base_commit, plan.checkout.merged_commit
    if not other:
        return
    merged = merge(clean, head, other)
    assert merged is not None  # noqa: S101 (else the plan has no commit to merge)
    if run.request.lfs:
        from flows.repository.lfs_files import fetch_lfs_files  # noqa: PLC0415 (only some runs need an HTTP client here)

        fetch_lfs_files(run.workspace, remote(run, credentials), head, merged.tree)
    snapshot.restore_commit(run.workspace, commit_of_tree(clean, merged.tree, head), head)
    get_run_logger().info("%s is merged into the work tree; files that conflict: %d", other[:12], len(merged.conflicts))


def _fetch(run: FollowUpRun, credentials: GitCredentials, base: str, *, is_needed: bool) -> None:
    logger, refspec = get_run_logger(), StartPoint.of_branch(base).refspec
    try:
        progress = LoggedProgress(logger.info)
        remote(run, credentials).fetch(run.workspace.clean_git, [refspec], run.request.clone_depth, progress)
    except RunError as error:
        if is_needed:
            raise
        logger.info("%s could not be fetched, so it is not known whether it has moved: %s", base, error)
