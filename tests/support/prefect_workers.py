"""The threads with which Prefect sends logs and events to its server."""


def flush() -> None:
    """Send what the threads still hold, while a server is there to receive it."""
    from prefect.events.worker import EventsWorker  # noqa: PLC0415 (Prefect reads its environment when it is imported)
    from prefect.logging.handlers import APILogWorker  # noqa: PLC0415

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=10)
