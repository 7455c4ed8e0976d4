"""The set-up commands, run in this process."""

from collections.abc import Callable

from deployments.local.stack import LocalStack

SetUpCommand = Callable[..., str]


def set_up_command(stack: LocalStack, name: str) -> SetUpCommand:
    """Return a function that runs `python -m deployments <name>` on the stack's Prefect server.

    It takes the command's arguments and the keywords `status` (the expected exit status) and `stdin`. It returns the
    command's output.
    """
    from typer.testing import CliRunner  # noqa: PLC0415 (Prefect reads its environment when it is imported)

    from deployments.__main__ import app  # noqa: PLC0415

    def call(*arguments: str, status: int = 0, stdin: str = "") -> str:
        assert stack.prefect_api_url
        result = CliRunner().invoke(app, [name, *arguments], input=stdin)
        assert result.exit_code == status, result.output + repr(result.exception)
        return str(result.output)

    return call
