"""The message of a run's commit: the person's text, with the id of the flow run as one more trailer."""

from tempfile import TemporaryFile

from flows.repository.git_commands import run_git


def with_run_trailer(message: str, flow_run_id: str) -> str:
    """Return the message with the trailer `Prefect-Flow-Run`, in the same paragraph as the trailers that it has.

    git reads trailers from the last paragraph only, so a paragraph of its own would hide the others.
    """
    with TemporaryFile() as file:
        file.write("\n".join([*message.splitlines(), ""]).encode())
        file.seek(0)
        arguments = ["interpret-trailers", "--no-divider", "--trailer", f"Prefect-Flow-Run: {flow_run_id}"]
        return f"{run_git(arguments, stdin=file).text}\n"
