"""`python -m flows.runtime.engine`: Prefect's engine (`python -m prefect.engine`) for a worker, which supervises it.

The flow is loaded first, and what it needs next while the engine asks the Prefect server about the run.
"""

import runpy
import sys

from flows.runtime.startup import end_without_heartbeats, importing, send_events


def load() -> None:
    """Load the flow, and begin to load what it needs next."""
    with importing():
        import flows.implement  # noqa: F401, PLC0415 (the whole of Prefect)
    from flows.run.preload import preload  # noqa: PLC0415

    preload()
    end_without_heartbeats()


def run() -> None:
    """Be Prefect's engine, of the run that PREFECT__FLOW_RUN_ID or the argument names."""
    sys.argv = ["prefect.engine", *sys.argv[1:]]
    sys.modules.pop("prefect.engine", None)
    try:
        runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
    finally:
        send_events()


if __name__ == "__main__":
    load()
    run()
