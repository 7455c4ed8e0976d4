"""`python -m flows.runtime.engine` runs Prefect's engine (`python -m prefect.engine`) under a worker's supervision.

The flow is loaded first. Its next modules are loaded while the engine requests the run from the Prefect server.
"""

import os
import runpy
import sys

from flows.credential_values import check_connection, strip_environment
from flows.errors import RunError
from flows.runtime.startup import end_without_heartbeats, importing, send_events


def prepare_environment() -> None:
    """Strip the credentials in the environment; exit with a message if one that Prefect uses cannot be sent.

    The flow checks all other credentials, so that a bad one becomes the error of its run.
    """
    strip_environment(os.environ)
    try:
        check_connection(os.environ)
    except RunError as error:
        sys.exit(f"{type(error).__name__}: {error}")


def load() -> None:
    """Load the flow, and start to load the modules that it needs next."""
    prepare_environment()
    with importing():
        import flows.implement  # noqa: F401, PLC0415 (it imports all of Prefect)
    from flows.run.preload import preload  # noqa: PLC0415

    preload()
    end_without_heartbeats()


def run() -> None:
    """Run Prefect's engine for the run that PREFECT__FLOW_RUN_ID or the argument names."""
    sys.argv = ["prefect.engine", *sys.argv[1:]]
    sys.modules.pop("prefect.engine", None)
    try:
        runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
    finally:
        send_events()


if __name__ == "__main__":
    load()
    run()
