"""Defines the step `verify` of a delivery, which runs the verify commands on the saved change again."""

import os
import time
from dataclasses import replace

from prefect import get_run_logger

from flows.errors import VerificationFailed
from flows.outcome.verification import failure_message
from flows.repository.clone import check_out
from flows.repository.collect import Change
from flows.repository.credentials import GitCredentials
from flows.run.rounds import verification_of, verify_commands
from flows.run.run import DeliverRun
from flows.sandbox.services import Services
from flows.sandbox.shell import agent_shell_environment
from flows.state.verifications import Round
from flows.tasks.clone import remote
from flows.tasks.services import check_services, services_for
from flows.tasks.task import step
from flows.tasks.verify import log_result, run_commands, with_result
from flows.verification.results import Status


def verify_again(run: DeliverRun, credentials: GitCredentials, change: Change) -> None:
    """Verify the change before it is pushed, with the services and the setup of the run that made it.

    Raises:
        VerificationFailed: The change does not pass. What failed before the change does not count.
        ServiceFailed: A service cannot be used.
    """
    plan = run.saved.plan
    if plan is None or not change.commit:
        return
    with services_for(run, plan.checkout) as services:
        _verify(run, credentials, services, change)
    verification = verification_of(run, change)
    if verification and verification.status is Status.FAILED:
        place = (
            "Nothing was pushed, and the change stays saved: deliver it without verify to push it nevertheless "
            f"(flow_run_id={run.saved.store.flow_run_id})"
        )
        repairs = run.saved.finished.round if run.saved.finished else 0
        error = VerificationFailed(failure_message(verification, repairs, "", place))
        raise with_result(run, change, error, is_pushed=False)


@step("verify")
def _verify(run: DeliverRun, credentials: GitCredentials, services: Services, change: Change) -> None:
    """Run the verify commands in a fresh checkout of the change, and on its base if one of them fails."""
    plan, finished = run.saved.plan, run.saved.finished
    assert plan is not None  # noqa: S101 (else nothing could be delivered)
    assert finished is not None  # noqa: S101
    commands, checkout = verify_commands(run, plan.checkout), plan.checkout
    assert commands is not None  # noqa: S101 (else the delivery is refused)
    base = change.checkout.base_commit
    if base != checkout.base_commit:
        checkout = replace(checkout, base_commit=base)
        target, depth = remote(run, credentials), run.request.clone_depth if run.request.submodules else None
        get_run_logger().info("the commit %s is checked out, to which the change was applied", base[:12])
        check_out(run.workspace, target, checkout, target.refs(), depth, lfs=run.request.lfs)
    check_services(run, services)
    environment, started = agent_shell_environment(run.workspace, run.variables, os.environ), time.monotonic()
    verification = run_commands(run, checkout, change.commit, commands, environment, run.request.limits)
    seconds = time.monotonic() - started
    new = Round(finished.round, commands.commands, change.commit, verification, seconds, is_delivery=True)
    run.saved.verifications = run.saved.verifications.with_delivery(new)
    log_result(verification, finished.round)
