"""`python -m flows.runtime.engine`: Prefect's engine (`python -m prefect.engine`) for a worker, which supervises it.

The flow is loaded first. What the flow needs next is loaded while the engine requests the run from the Prefect server.
"""

import os
import runpy
import sys

from flows.credential_values import check_connection, strip_environment
from flows.errors import InvalidCredential
from flows.runtime.startup import end_without_heartbeats, importing, send_events


def prepare_environment() -> None:
    """Strip the credentials that Prefect reads; exit with the named error if one of them cannot be sent.

    The flow checks the credentials that it uses itself, so that its run ends with that error.
    """
    strip_environment(os.environ)
    try:
        check_connection(os.environ)
    except InvalidCredential as error:
        sys.exit(f"InvalidCredential: {error}")


def load() -> None:
    """Load the flow, and start to load what it needs next."""
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
