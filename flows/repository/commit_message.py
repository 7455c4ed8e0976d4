"""Adds the id of the flow run, as a trailer, to the commit message that a person wrote."""

from tempfile import TemporaryFile

from flows.repository.git_commands import run_git


def with_run_trailer(message: str, flow_run_id: str) -> str:
    """Return the message with the trailer `Prefect-Flow-Run`, in the same paragraph as any other trailers.

    git reads trailers from the last paragraph only, so a separate paragraph would hide the other trailers.
    """
    with TemporaryFile() as file:
        file.write("\n".join([*message.splitlines(), ""]).encode())
        file.seek(0)
        arguments = ["interpret-trailers", "--no-divider", "--trailer", f"Prefect-Flow-Run: {flow_run_id}"]
        return f"{run_git(arguments, stdin=file).text}\n"
