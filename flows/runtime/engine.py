"""Runs Prefect's engine, as `python -m prefect.engine` does, in a process that a worker supervises.

The command is `python -m flows.runtime.engine`. It loads the flow first. While the engine requests the run from the
Prefect server, a thread loads the modules that the flow needs next.
"""

import os
import runpy
import sys

from flows.credential_values import check_connection, strip_environment
from flows.errors import RunError
from flows.runtime.startup import end_without_heartbeats, importing, send_events


def prepare_environment() -> None:
    """Strip the credentials in the environment. If one that Prefect uses cannot be sent, exit with a message.

    The flow checks all other credentials, so that an invalid one is reported as the error of its run.
    """
    strip_environment(os.environ)
    try:
        check_connection(os.environ)
    except RunError as error:
        sys.exit(f"{type(error).__name__}: {error}")


def load() -> None:
    """Load the flow, and start a thread that loads the modules that the flow needs next."""
    prepare_environment()
    with importing():
        import flows.implement  # noqa: F401, PLC0415 (it imports all of Prefect)
    from flows.run.preload import preload  # noqa: PLC0415

    preload()
    end_without_heartbeats()


def run() -> None:
    """Run Prefect's engine. PREFECT__FLOW_RUN_ID or the command's argument is the id of the run to execute."""
    sys.argv = ["prefect.engine", *sys.argv[1:]]
    sys.modules.pop("prefect.engine", None)
    try:
        runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
    finally:
        send_events()


if __name__ == "__main__":
    load()
    run()
