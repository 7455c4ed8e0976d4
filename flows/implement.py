"""Defines the flow `implement`, which takes a git repository and instructions, and pushes a branch with the result."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Cancelled

from flows.outcome.result import RunResult
from flows.parameters.implement import ImplementParameters
from flows.parameters.signature import RawParameters, flow_parameters
from flows.reporting.events import emit_run_event
from flows.run.cancellation import was_being_cancelled
from flows.run.lifecycle import completed, in_parallel, open_run
from flows.run.run import flow_run_name
from flows.tasks.claude import run_claude
from flows.tasks.clone import clone
from flows.tasks.instructions import fetch_instructions
from flows.tasks.issue import tell_issue
from flows.tasks.pull_request import propose
from flows.tasks.push import push
from flows.tasks.secret import read_credentials
from flows.tasks.services import check_services, services_for
from flows.tasks.setup import set_up, setup_for
from flows.tasks.verify import check_verified, may_push, verify


@flow(flow_run_name=flow_run_name, on_completion=[emit_run_event], on_failure=[emit_run_event])
@flow_parameters
def implement(parameters: RawParameters[ImplementParameters]) -> State[RunResult]:
    """Let Claude Code implement written instructions in a git repository, and push the result as a branch."""
    if was_being_cancelled():
        return Cancelled(message="The run was being cancelled when its machine was lost; its work so far is saved.")
    with open_run(parameters) as run:
        credentials = read_credentials(run)
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
            tell_issue(run, credentials, change)
        check_verified(run, change)
    return completed(run, change)
