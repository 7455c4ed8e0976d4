"""Defines the flow `follow_up`, which continues the branch of an earlier run with what its reviewers ask for."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Cancelled

from flows.outcome.result import RunResult
from flows.parameters.follow_up import FollowUpParameters
from flows.parameters.signature import RawParameters, flow_parameters
from flows.reporting.events import emit_run_event
from flows.run.cancellation import was_being_cancelled
from flows.run.lifecycle import completed, in_parallel, nothing_new, open_follow_up
from flows.run.run import follow_up_name
from flows.tasks.claude import run_claude
from flows.tasks.clone import clone
from flows.tasks.instructions import fetch_instructions
from flows.tasks.pull_request import propose
from flows.tasks.push import push
from flows.tasks.reply import reply
from flows.tasks.review import asks_for_something, read_review
from flows.tasks.secret import read_credentials
from flows.tasks.services import check_services, services_for
from flows.tasks.setup import set_up, setup_for
from flows.tasks.verify import check_verified, may_push, verify


@flow(
    name="follow_up",
    flow_run_name=follow_up_name,
    on_completion=[emit_run_event],
    on_failure=[emit_run_event],
)
@flow_parameters
def follow_up(parameters: RawParameters[FollowUpParameters]) -> State[RunResult]:
    """Let Claude Code follow up on the review of a branch that a run has pushed, and answer the reviewers."""
    if was_being_cancelled():
        return Cancelled(message="The run was being cancelled when its machine was lost; its work so far is saved.")
    with open_follow_up(parameters) as run:
        credentials = read_credentials(run)
        review = read_review(run, credentials)
        if not asks_for_something(run, review):
            return nothing_new(run)
        checkout, instructions = in_parallel(
            clone.submit(run, credentials), fetch_instructions.submit(run, credentials)
        )
        with services_for(run, checkout) as services:
            if command := setup_for(run, checkout):
                set_up(run, checkout, command, services)
            check_services(run, services)
            change = run_claude(run, credentials, checkout, instructions)
            change = verify(run, credentials, checkout, services, change)
        if may_push(run, change):
            push(run, credentials, change)
            propose(run, credentials, change)
            reply(run, credentials, change)
        check_verified(run, change)
    return completed(run, change)
