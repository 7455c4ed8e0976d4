"""Defines `python -m flows setup`, which runs the services and the setup command of a repository without an agent.

`python -m flows verify` runs the verify commands on the base commit as well. The variables are those of a run. No
instructions are needed, and no Prefect server unless a variable names a block.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final, Literal
from uuid import uuid4

from flows.credential_values import strip_environment
from flows.errors import RunError, named_error
from flows.outcome.result import COMPLETED, FAILED, INVALID, SIGNALLED, Failure, last_words
from flows.outcome.verification import VerificationResult
from flows.parameters.environment import names_set, with_variables
from flows.parameters.implement import ImplementParameters, default_branch_name
from flows.parameters.preflight import checked_parameters
from flows.parameters.signature import RawParameters
from flows.redaction import SECRETS
from flows.text_safety import sanitize

_INSTRUCTIONS: Final = ("INSTRUCTIONS", "INSTRUCTIONS_S3_URI")


@dataclass(frozen=True)
class SetupResult:
    """What the command found. A field is empty if its value is not known or does not apply."""

    outcome: Literal["completed", "failed", "invalid", "interrupted"]
    base_branch: str = ""
    base_commit: str = ""
    setup_source: str = ""
    """Where the setup command comes from, for people."""
    setup_seconds: float | None = None
    verification: VerificationResult | None = None
    """How the verify commands ended on the base commit."""
    error: Failure | None = None

    @property
    def exit_status(self) -> int:
        """The exit status of the command."""
        return _EXIT_STATUSES[self.outcome]


_EXIT_STATUSES: Final = {
    "completed": COMPLETED,
    "failed": FAILED,
    "invalid": INVALID,
    "interrupted": SIGNALLED + signal.SIGINT,
}


def try_setup(*, verifies: bool = False, as_json: bool = False) -> int:
    """Run the services and the setup of a repository, print the output, and return an exit status.

    Args:
        verifies: Whether to run the verify commands as well.
        as_json: Whether to print the result as one JSON object on standard output, and the output on standard error.
    """
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(SIGNALLED + number))
    result = _result(verifies=verifies, log=note if as_json else _print)
    if as_json:
        _print(json.dumps(asdict(result)))
    if result.error:
        note(last_words(result.error))
    return result.exit_status


def check_setup() -> list[str]:
    """Check the variables of `try_setup`, and return the names of those that are set.

    Raises:
        RunError: A variable is missing or wrong.
    """
    environment = _without_instructions()
    checked_parameters({**environment, "INSTRUCTIONS": "none"})
    return names_set(environment)


def _without_instructions() -> dict[str, str]:
    """Return the environment without the variables that the command does not need."""
    return {name: value for name, value in os.environ.items() if name not in _INSTRUCTIONS}


def _result(*, verifies: bool, log: Callable[[str], None]) -> SetupResult:
    try:
        request = _checked_request()
    except RunError as error:
        return SetupResult("invalid", error=_failure(error))
    try:
        with SECRETS.run_scope():
            from flows.runtime.setup_run import clone_and_run  # noqa: PLC0415 (Prefect takes a second to import)

            return clone_and_run(request, verifies=verifies, log=log, note=note)
    except KeyboardInterrupt:
        return SetupResult("interrupted")
    except Exception as error:  # noqa: BLE001 (the one place where a failure becomes an exit status)
        return SetupResult("failed", error=_failure(named_error(error)))


def _checked_request() -> ImplementParameters:
    """Return the checked parameters of a run without instructions."""
    parameters = checked_parameters({**_without_instructions(), "INSTRUCTIONS": "none"})
    strip_environment(os.environ)
    branch = default_branch_name(datetime.now(UTC), str(uuid4()))
    return RawParameters(ImplementParameters, parameters).checked(branch_name=branch)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Print a line about the command itself on standard error."""
    sys.stderr.write(f"{sanitize(text)}\n")


def _failure(error: RunError) -> Failure:
    return Failure(type(error).__name__, sanitize(with_variables(str(error))))
