"""Defines the step `apply` of a delivery, which applies the saved change to the newest commit of the branch."""

import shlex

from prefect import get_run_logger

from flows.errors import BaseRefNotFound, ChangeConflicts
from flows.reporting.commands import fetch_command
from flows.repository.clone import Checkout, check_target
from flows.repository.collect import Change
from flows.repository.credentials import GitCredentials
from flows.repository.git_commands import run_git
from flows.repository.merge import apply_change
from flows.repository.remote import Remote
from flows.repository.start_point import StartPoint, branches
from flows.run.run import DeliverRun
from flows.state.files import StateFile
from flows.tasks.clone import LoggedProgress, remote
from flows.tasks.task import step


@step("apply")
def apply_to_latest(run: DeliverRun, credentials: GitCredentials, change: Change) -> Change:
    """Return the change on top of the newest commit of the branch to push, or of the branch that the run started from.

    Raises:
        BaseRefNotFound: The remote has neither of the two branches any more.
        ChangeConflicts: The newest commit changed the same files. The message says how to merge by hand. Or the change
            is a merge, which would lose its second parent.
    """
    if change.checkout.merged_commit:
        raise ChangeConflicts(
            "the change merges another branch, so it cannot be applied to a newer commit: deliver it without "
            "apply_to_latest, or start follow_up with merge_base again. Nothing was pushed"
        )
    target, logger = remote(run, credentials), get_run_logger()
    start = _newest_branch(run, target, change.checkout)
    target.fetch(run.workspace.clean_git, [start.refspec], run.request.clone_depth, LoggedProgress(logger.info))
    newest = run_git(["rev-parse", f"{start.local_ref}^{{commit}}"], git_dir=run.workspace.clean_git).text
    checkout = Checkout(run.request.branch_name, start.name, newest)
    try:
        applied = apply_change(run.workspace.clean_git, change, checkout)
    except ChangeConflicts as error:
        raise ChangeConflicts(f"{error}. Nothing was pushed. {_merge_by_hand(run, change, start.name)}") from None
    if applied.commit:
        logger.info("the change is applied to %s at %s", start.name, applied.applied_to[:12])
        run.applied[:] = [applied]
    return applied


def _newest_branch(run: DeliverRun, target: Remote, checkout: Checkout) -> StartPoint:
    """Return the branch to push, if the remote has it, otherwise the branch that the run started from.

    If the run started from a tag or a commit, which never get newer commits, return the default branch. Return it as
    well if the run continued a branch that was deleted since, which is usual after a merge.
    """
    refs, start = target.refs(), checkout.base_branch
    plan = run.saved.plan
    was_deleted = plan is not None and plan.checkout.continues and start not in refs.branches
    if was_deleted or not checkout.start.is_branch:
        start = ""
    check_target(refs, checkout.branch, allow_default_branch=run.request.allow_default_branch)
    for name in (checkout.branch, start or refs.default_branch):
        if name in refs.branches:
            return StartPoint.of_branch(name)
    raise BaseRefNotFound(
        f"the change cannot be applied to a newer commit: {start or 'the default branch'!r} is not a branch on the "
        f"remote, which has {branches(refs)}; deliver without apply_to_latest"
    )


def _merge_by_hand(run: DeliverRun, change: Change, start: str) -> str:
    """Return the commands that apply the saved change in a clone, where a person can resolve the conflicts."""
    url = shlex.quote(run.request.repo_url.url)
    saved_branch = run.saved.plan.checkout.branch if run.saved.plan else change.checkout.branch
    bundle = run.saved.store.location(StateFile.BUNDLE)
    newest = f"git fetch {url} {shlex.quote(f'refs/heads/{start}')} && git switch --detach FETCH_HEAD"
    change_on_it = fetch_command(bundle, saved_branch, "git cherry-pick FETCH_HEAD")
    push = f"git push {url} {shlex.quote(f'HEAD:refs/heads/{run.request.branch_name}')}"
    return (
        f"To merge by hand, run in a clone: {newest} && {change_on_it}\n"
        f"Then resolve the conflicts, and run: git add --all && git cherry-pick --continue && {push}"
    )
