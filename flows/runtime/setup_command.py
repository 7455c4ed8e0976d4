"""Defines `python -m flows setup`, which runs the services and the setup command of a repository without an agent.

The variables are those of a run. No instructions are needed, and no Prefect server unless a variable names a block.
"""

import os
import signal
import sys
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from flows.credential_values import strip_environment
from flows.errors import RunError, named_error
from flows.outcome.result import COMPLETED, FAILED, INVALID, SIGNALLED
from flows.parameters.environment import with_variables
from flows.parameters.implement import ImplementParameters, default_branch_name
from flows.parameters.preflight import checked_parameters
from flows.parameters.signature import RawParameters
from flows.redaction import SECRETS
from flows.text_safety import sanitize

if TYPE_CHECKING:
    from flows.repository.clone import Checkout

_INSTRUCTIONS: Final = ("INSTRUCTIONS", "INSTRUCTIONS_S3_URI")


def try_setup() -> int:
    """Run the services and the setup of a repository, print the output, and return an exit status."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(SIGNALLED + number))
    try:
        request = _checked_request()
    except RunError as error:
        return _failed(error, INVALID)
    try:
        with SECRETS.run_scope():
            _clone_and_run(request)
    except KeyboardInterrupt:
        return SIGNALLED + signal.SIGINT
    except Exception as error:  # noqa: BLE001 (the one place where a failure becomes an exit status)
        return _failed(named_error(error), FAILED)
    return COMPLETED


def _checked_request() -> ImplementParameters:
    """Return the checked parameters of a run without instructions."""
    environment = {name: value for name, value in os.environ.items() if name not in _INSTRUCTIONS}
    parameters = checked_parameters({**environment, "INSTRUCTIONS": "none"})
    strip_environment(os.environ)
    branch = default_branch_name(datetime.now(UTC), str(uuid4()))
    return RawParameters(ImplementParameters, parameters).checked(branch_name=branch)


def _clone_and_run(request: ImplementParameters) -> None:
    # Only this command needs these, and some of them import Prefect, which takes a second.
    from flows.repository.clone import clone  # noqa: PLC0415
    from flows.repository.collect import names  # noqa: PLC0415
    from flows.repository.remote import Remote  # noqa: PLC0415
    from flows.repository.repository_file import NAME  # noqa: PLC0415
    from flows.repository.setup import run_setup, setup_command  # noqa: PLC0415
    from flows.run.setup import load_claude_code, redact_secrets, run_store  # noqa: PLC0415
    from flows.sandbox.services import run_services  # noqa: PLC0415
    from flows.sandbox.shell import agent_shell_environment  # noqa: PLC0415
    from flows.sandbox.workspace import workspace  # noqa: PLC0415
    from flows.state.setup_cache import run_with_cache  # noqa: PLC0415
    from flows.tasks.clone import LoggedProgress  # noqa: PLC0415
    from flows.tasks.secret import check_agent_lacks, current_credentials  # noqa: PLC0415

    redact_secrets()
    block = load_claude_code(request.claude_code_block, request.repo_url) if request.claude_code_block else None
    credentials = current_credentials(request)
    variables = block.agent_variables() if block else {}
    check_agent_lacks(credentials, block.agent_secrets() if block else {})
    with workspace() as directories:
        if directories.agent.missing_isolation:
            _note(f"the agent's user is not isolated: {directories.agent.missing_isolation}")
        checkout = clone(
            directories,
            Remote(request.repo_url, credentials, directories.trusted),
            branch=request.branch_name,
            base_branch=request.base_branch,
            depth=request.clone_depth,
            allow_default_branch=request.allow_default_branch,
            submodules=request.submodules,
            lfs=request.lfs,
            progress=LoggedProgress(lambda text, *arguments: _note(text % arguments)),
        )
        command = setup_command(request.verification.setup_command, checkout)
        if command is None:
            _note(f"there is no setup command: set SETUP_COMMAND, or {_where_setup_goes(checkout, NAME)}")
        with run_services(directories, checkout.services, os.environ) as services:
            services.start(lambda line: _print(f"service {line}"), _note)
            if command is None:
                return
            _note(f"the setup command, from {command.source}, runs on {checkout.base_branch}")
            limits = request.claude_code_options(block.options() if block else None).limits
            setup = partial(
                run_setup,
                directories,
                checkout,
                command,
                agent_shell_environment(directories, variables, os.environ),
                limits.setup_timeout_seconds,
                _print,
            )
            files = run_store("setup").files
            start = time.monotonic()
            changed, _ = run_with_cache(
                files,
                directories,
                checkout,
                request.repo_url.url,
                command.script,
                setup,
                _note,
                services.restart,
            )
            seconds = time.monotonic() - start
            services.check()
    if changed:
        _note(f"{names(changed)}: changed by the setup command, and put back, because the files are the repository's")
    _note(f"the setup command ended with exit status 0; the setup took {seconds:.1f} s")


def _where_setup_goes(checkout: "Checkout", file: str) -> str:
    if not checkout.setup_source:
        return f"add {file} to the default branch"
    unused = "; without a setup, its cache has no effect" if checkout.cache else ""
    return f"add the key setup to {checkout.setup_source}{unused}"


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _note(text: str) -> None:
    sys.stderr.write(f"{sanitize(text)}\n")


def _failed(error: RunError, status: int) -> int:
    _note(f"{type(error).__name__}: {with_variables(str(error))}")
    return status
