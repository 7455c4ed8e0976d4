"""Defines `python -m flows setup`, which clones the repository and runs its setup command, without an agent and a model.

The variables are those of a run. No instructions are needed, and no Prefect server unless a variable names a block.
"""

import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from git import RemoteProgress

from flows.errors import RunError, SetupFailed, named_error
from flows.outcome.result import COMPLETED, FAILED, INVALID
from flows.parameters import environment as variables
from flows.parameters.implement import ImplementParameters, check_before_run
from flows.parameters.preflight import check_credentials
from flows.redaction import SECRETS
from flows.text_safety import sanitize

_INSTRUCTIONS: Final = ("instructions", "instructions_s3_uri")


def try_setup(environment: MutableMapping[str, str]) -> int:
    """Clone the repository, run its setup command, print the output and how the command ended. Return an exit status."""
    try:
        request = _checked(environment)
    except RunError as error:
        return _fail(error, INVALID)
    try:
        with SECRETS.run_scope():
            return _try(request)
    except RunError as error:
        return _fail(error, FAILED)
    except Exception as error:  # noqa: BLE001 (the one place where a failure becomes an exit status)
        return _fail(named_error(error), FAILED)


def _checked(environment: MutableMapping[str, str]) -> ImplementParameters:
    check_credentials(environment)
    values: dict[str, Any] = variables.read(environment)
    return check_before_run({**{name: value for name, value in values.items() if name not in _INSTRUCTIONS}, **_UNUSED})


_UNUSED: Final[Mapping[str, Any]] = {"instructions": "none"}
"""The instructions of a run that starts no agent."""


def _try(request: ImplementParameters) -> int:
    from flows.repository.clone import clone  # noqa: PLC0415 (only this command needs them)
    from flows.repository.collect import names  # noqa: PLC0415
    from flows.repository.remote import Remote  # noqa: PLC0415
    from flows.repository.setup import run_setup, setup_command  # noqa: PLC0415
    from flows.run.setup import agent_variables, redact_secrets  # noqa: PLC0415
    from flows.sandbox.shell import agent_shell_environment  # noqa: PLC0415
    from flows.sandbox.workspace import workspace  # noqa: PLC0415
    from flows.tasks.secret import credentials_for  # noqa: PLC0415

    redact_secrets()
    with workspace() as directories:
        ...


def _fail(error: RunError, status: int) -> int:
    print(f"{type(error).__name__}: {sanitize(variables.with_variables(str(error)))}", file=sys.stderr)
    return status
