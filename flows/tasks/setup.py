"""Defines the step `setup`: it prepares the work tree with the repository's own commands, before the agent starts."""

from prefect import get_run_logger

from flows.errors import SetupFailed
from flows.repository.clone import Checkout
from flows.repository.collect import names
from flows.repository.setup import SetupCommand, run_setup, setup_command
from flows.run.run import ImplementRun
from flows.tasks.services import with_saved_work
from flows.tasks.task import step


def setup_for(run: ImplementRun, checkout: Checkout) -> SetupCommand | None:
    """Return the setup command that this attempt has to run; None if the run has none, or its agent has finished."""
    return None if run.saved.finished else setup_command(run.request.verification.setup_command, checkout)


@step("setup")
def set_up(run: ImplementRun, checkout: Checkout, command: SetupCommand) -> None:
    """Run the setup command in the work tree, before the model gateway is open.

    Raises:
        SetupFailed: The command failed. It is not tried again, because the work tree is no longer new.
    """
    logger = get_run_logger()
    logger.info("the setup command, from %s, runs", command.source)
    try:
        changed = run_setup(
            run.workspace,
            checkout,
            command,
            run.agent.shell_environment(run.workspace),
            run.agent.options.limits.setup_timeout_seconds,
            lambda line: logger.info("%s", line),
        )
    except SetupFailed as error:
        raise SetupFailed(with_saved_work(run, str(error))) from None
    if changed:
        text = f"{names(changed)}: changed by the setup command, and put back, because the files are the repository's"
        logger.warning("%s", text)
        run.warnings.append(text)
