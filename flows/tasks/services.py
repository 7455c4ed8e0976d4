"""Defines the step `services`: it starts the repository's services, which live until the agent's work is saved."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from prefect import get_run_logger

from flows.errors import ServiceFailed
from flows.repository.clone import Checkout
from flows.run.rounds import needs_work_tree
from flows.run.run import ImplementRun, Run
from flows.sandbox.services import Services, run_services
from flows.tasks.task import step


@contextmanager
def services_for(run: Run, checkout: Checkout) -> Iterator[Services]:
    """Yield the running services of this attempt, and end them; no services if no work tree is needed."""
    services = checkout.services if needs_work_tree(run) else ()
    with run_services(run.workspace, services, os.environ) as running:
        if services:
            start_services(run, running)
        yield running


@step("services")
def start_services(run: Run, services: Services) -> None:
    """Start the services, and wait until they are healthy.

    Raises:
        ServiceFailed: A service cannot be used. It is not started again.
    """
    logger = get_run_logger()

    def warn(text: str) -> None:
        logger.warning("%s", text)
        run.warnings.append(text)

    try:
        services.start(lambda line: logger.info("service %s", line), warn)
    except ServiceFailed as error:
        raise ServiceFailed(with_saved_work(run, str(error))) from None
    if isinstance(run, ImplementRun):
        run.agent.services = services.summary


def restart_services(run: ImplementRun, services: Services) -> None:
    """Start the services again, with empty folders; their addresses may be other ones."""
    services.restart()
    run.agent.services = services.summary


def check_services(run: Run, services: Services) -> None:
    """Raise `ServiceFailed` if a service has ended, or can be reached from other machines."""
    try:
        services.check()
    except ServiceFailed as error:
        raise ServiceFailed(with_saved_work(run, str(error))) from None


def with_saved_work(run: Run, text: str) -> str:
    """Return an error's text for people; if an earlier attempt has saved work, the text says so."""
    if not isinstance(run, ImplementRun):
        return text.replace("The agent was not started.", "Nothing was pushed, and the change stays saved.")
    if run.saved.checkpoint is None:
        return text
    text = text.replace("The agent was not started.", "The agent was not started again.")
    sentences, newline, output = text.partition("\n")
    return f"{sentences.removesuffix('.')}. The work of an earlier attempt is saved: continue this run{newline}{output}"
