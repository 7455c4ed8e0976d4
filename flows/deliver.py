"""Defines the flow `deliver`, which pushes the saved change of an earlier run, with fresh credentials and no agent."""

from prefect import flow
from prefect.client.schemas.objects import State

from flows.outcome.result import RunResult
from flows.parameters.deliver import DeliverParameters
from flows.parameters.signature import RawParameters, flow_parameters
from flows.reporting.events import emit_run_event
from flows.run.lifecycle import completed, open_saved_run, report_delivery
from flows.run.restore import load_saved_change
from flows.tasks.apply import apply_to_latest
from flows.tasks.clone import clone
from flows.tasks.issue import tell_issue
from flows.tasks.pull_request import propose
from flows.tasks.push import push
from flows.tasks.secret import read_credentials
from flows.tasks.verify_again import verify_again


@flow(flow_run_name="deliver {flow_run_id}", on_completion=[emit_run_event], on_failure=[emit_run_event])
@flow_parameters
def deliver(parameters: RawParameters[DeliverParameters]) -> State[RunResult]:
    """Push the change that a run of implement saved but could not push. No agent is started."""
    with open_saved_run(parameters) as run:
        credentials = read_credentials(run)
        clone(run, credentials)
        change = load_saved_change(run)
        if run.apply_to_latest:
            change = apply_to_latest(run, credentials, change)
        if run.verifies:
            verify_again(run, credentials, change)
        push(run, credentials, change)
        propose(run, credentials, change)
        tell_issue(run, credentials, change)
        report_delivery(run, change)
    return completed(run, change)
