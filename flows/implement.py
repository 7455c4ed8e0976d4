"""The flow: a git repository and instructions in, a pushed branch out."""

from typing import Any, cast

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, wait
from prefect.states import Cancelled

from flows.agent.session import new_agent
from flows.outcome.result import Delivery
from flows.parameters.implement import ImplementParameters
from flows.parameters.signature import RawParameters, flow_parameters
from flows.reporting.events import announce
from flows.repository.credentials import GitCredentials
from flows.run.cancellation import was_being_cancelled
from flows.run.lease import newest_execution
from flows.run.lifecycle import completed, concluded
from flows.run.preload import warm_up
from flows.run.setup import Run, flow_run_name, scheduled_start
from flows.run.start import keep_start, take_up_instructions
from flows.sandbox.workspace import workspace as run_workspace
from flows.state.records import Keepings, Plan
from flows.tasks.claude import Work, finished_work, run_claude, take_up
from flows.tasks.clone import clone, clone_again
from flows.tasks.instructions import fetch_instructions
from flows.tasks.push import push
from flows.tasks.secret import read_secret


@flow(flow_run_name=flow_run_name, on_completion=[announce], on_failure=[announce])
@flow_parameters
def implement(parameters: RawParameters[ImplementParameters]) -> State[Delivery]:
    """Let Claude Code implement written instructions in a git repository, and push the result as a branch."""
    if was_being_cancelled():
        return Cancelled(message="It was being cancelled when its machine was lost; what it had done is kept.")
    with run_workspace() as workspace, concluded(parameters.raw, workspace) as run, newest_execution(run.store):
        warm_up()
        reading = read_secret.submit(run.request)
        run.kept = Keepings.load(run.store)
        # What an earlier execution of this run did is not done again.
        run.work = _go_on(run, reading, run.kept.plan) if run.kept.plan else _start(run, reading)
        push(run.request, reading.result(), workspace, run.work.change, run.work.kept, run.store)
    return completed(run)


def _start(run: Run, reading: PrefectFuture[GitCredentials]) -> Work:
    """The work of a run from its beginning."""
    fetching = fetch_instructions.submit(run.request, run.workspace)
    # Prefect waits for what the future holds, and hands that to the task.
    cloning = clone.submit(run.request, cast("GitCredentials", reading), run.workspace)
    run.agent = new_agent(run.options, run.provider)
    _wait(reading, cloning, fetching)  # none may outlive the directory that it writes to
    credentials = reading.result()
    plan = Plan(run.request.repo_url.url, cloning.result(), fetching.result(), scheduled_start())
    run.plan = keep_start(run.store, plan, run.workspace, runtime.flow_run.parameters)
    return run_claude(run.agent, run.workspace, run.plan, run.identity(credentials.email), run.store)


def _go_on(run: Run, reading: PrefectFuture[GitCredentials], plan: Plan) -> Work:
    """The work of a run that began elsewhere: the same start, the same instructions, nothing done twice."""
    run.plan, credentials = plan, reading.result()
    clone_again(run.request, credentials, run.workspace, plan.checkout, work_tree=run.kept.finished is None)
    if run.kept.finished:
        return finished_work(run.workspace, plan, run.kept.finished, run.store)
    if not take_up_instructions(run.store, plan, run.workspace):
        fetch_instructions(run.request, run.workspace)
    run.agent = new_agent(run.options, run.provider)
    take_up(run.workspace, run.agent, run.kept)
    return run_claude(run.agent, run.workspace, plan, run.identity(credentials.email), run.store)


def _wait(*futures: PrefectFuture[Any]) -> None:
    wait(list(futures))
