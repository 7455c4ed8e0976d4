"""Defines the step `setup`: it prepares the work tree with the repository's own commands, before the agent starts."""

from functools import partial

from prefect import get_run_logger

from flows.errors import ServiceFailed, SetupFailed
from flows.repository.clone import Checkout
from flows.repository.collect import names
from flows.repository.setup import SetupCommand, run_setup, setup_command
from flows.run.rounds import needs_work_tree, verify_commands
from flows.run.run import ImplementRun
from flows.sandbox.services import Services
from flows.state.setup_cache import run_with_cache
from flows.tasks.services import restart_services, with_saved_work
from flows.tasks.task import step
from flows.verification.prepared import save_prepared


def setup_for(run: ImplementRun, checkout: Checkout) -> SetupCommand | None:
    """Return the setup command that this attempt has to run; None if the run has none, or needs no work tree."""
    return setup_command(run.request.verification.setup_command, checkout) if needs_work_tree(run) else None


@step("setup")
def set_up(run: ImplementRun, checkout: Checkout, command: SetupCommand, services: Services) -> None:
    """Run the setup command in the work tree, before the model gateway is open.

    Raises:
        SetupFailed: The command failed, also without cached files. It is not tried again by itself: an error of the
            command seldom passes.
        ServiceFailed: A service cannot be started again, for the setup without cached files.
    """
    logger = get_run_logger()
    logger.info("the setup command, from %s, runs", command.source)
    try:
        changed = _run_with_cache(run, checkout, command, services)
    except (SetupFailed, ServiceFailed) as error:
        raise type(error)(with_saved_work(run, str(error))) from None
    if changed:
        text = f"{names(changed)}: changed by the setup command, and put back, because the files are the repository's"
        logger.warning("%s", text)
        run.warnings.append(text)
    if verify_commands(run, checkout) and (fault := save_prepared(run.workspace)):
        logger.warning("%s", fault)
        run.warnings.append(fault)


def _run_with_cache(
    run: ImplementRun, checkout: Checkout, command: SetupCommand, services: Services
) -> tuple[str, ...]:
    """Run the setup command, with the files that an earlier run cached if the repository's file names such files."""
    logger = get_run_logger()

    def setup() -> tuple[str, ...]:
        return run_setup(
            run.workspace,
            checkout,
            command,
            run.agent.shell_environment(run.workspace),
            run.agent.options.limits.setup_timeout_seconds,
            lambda line: logger.info("%s", line),
        )

    restart = partial(restart_services, run, services)
    files, url, log = run.saved.store.files, run.request.repo_url.url, lambda line: logger.info("%s", line)
    changed, text = run_with_cache(files, run.workspace, checkout, url, command.script, setup, log, restart)
    if text:
        run.setup_cache.append(f"cache {text}")
    return changed
