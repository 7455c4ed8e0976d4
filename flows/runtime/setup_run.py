"""Clones a repository and runs its setup, and its verify commands, for `python -m flows setup` and `verify`."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from flows.errors import InvalidVerifyCommands
from flows.outcome.result import Failure
from flows.outcome.verification import VerificationResult
from flows.parameters.implement import ImplementParameters
from flows.parameters.limits import Limits
from flows.repository.clone import Checkout, clone
from flows.repository.collect import names
from flows.repository.remote import Remote
from flows.repository.repository_file import NAME
from flows.repository.setup import SetupCommand, run_setup, setup_command
from flows.run.setup import load_claude_code, redact_secrets, run_store
from flows.runtime.setup_command import SetupResult
from flows.runtime.verify_command import verify_base
from flows.sandbox.services import Services, run_services
from flows.sandbox.shell import agent_shell_environment
from flows.sandbox.workspace import Workspace, workspace
from flows.state.setup_cache import run_with_cache
from flows.tasks.clone import LoggedProgress
from flows.tasks.secret import check_agent_lacks, current_credentials
from flows.verification.commands import check_syntax, verify_commands
from flows.verification.results import Status

_Log = Callable[[str], None]


def clone_and_run(request: ImplementParameters, *, verifies: bool, log: _Log, note: _Log) -> SetupResult:
    """Clone the repository, run its services and its setup, and its verify commands if that is asked for.

    Args:
        request: The checked parameters of a run.
        verifies: Whether to run the verify commands.
        log: Called with each line of the output of commands, and with each verdict.
        note: Called with each line about the command itself.
    """
    redact_secrets()
    block = load_claude_code(request.claude_code_block, request.repo_url) if request.claude_code_block else None
    credentials = current_credentials(request)
    variables = block.agent_variables() if block else {}
    check_agent_lacks(credentials, block.agent_secrets() if block else {})
    with workspace() as directories:
        if directories.agent.missing_isolation:
            note(f"the agent's user is not isolated: {directories.agent.missing_isolation}")
        checkout = clone(
            directories,
            Remote(request.repo_url, credentials, directories.trusted),
            branch=request.branch_name,
            base_branch=request.base_branch,
            depth=request.clone_depth,
            allow_default_branch=request.allow_default_branch,
            submodules=request.submodules,
            lfs=request.lfs,
            progress=LoggedProgress(lambda text, *arguments: note(text % arguments)),
        )
        command = setup_command(request.verification.setup_command, checkout)
        checks = verify_commands(request.verification.verify_commands, checkout) if verifies else None
        if verifies and checks is None:
            missing = f"there are no verify commands: set VERIFY_COMMANDS, or {_where_to_add('verify', checkout, NAME)}"
            return SetupResult("invalid", error=Failure(InvalidVerifyCommands.__name__, missing))
        if checks:
            check_syntax(directories, checks)
        if command is None:
            note(f"there is no setup command: set SETUP_COMMAND, or {_where_setup_goes(checkout, NAME)}")
        environment = agent_shell_environment(directories, variables, os.environ)
        limits = request.claude_code_options(block.options() if block else None).limits
        result = SetupResult(
            "completed", checkout.base_branch, checkout.base_commit, setup_source=command.source if command else ""
        )
        with run_services(directories, checkout.services, os.environ) as services:
            services.start(lambda line: log(f"service {line}"), note)
            if command:
                seconds = _run_setup(request, directories, checkout, command, environment, limits, services, log, note)
                result = replace(result, setup_seconds=round(seconds, 1))
            services.check()
            if command:
                note(f"the setup command ended with exit status 0; the setup took {result.setup_seconds:.1f} s")
            if checks is None:
                return result
            verification = verify_base(directories, checkout, checks, command, environment, limits, log)
        verification_result = VerificationResult.of(verification.status, verification, 0, (), checks.source)
        has_failed = verification.status is Status.FAILED
        return replace(result, outcome="failed" if has_failed else "completed", verification=verification_result)


def _run_setup(
    request: ImplementParameters,
    directories: Workspace,
    checkout: Checkout,
    command: SetupCommand,
    environment: Mapping[str, str],
    limits: Limits,
    services: Services,
    log: _Log,
    note: _Log,
) -> float:
    """Run the setup command with the cached files, and return how many seconds it took."""
    note(f"the setup command, from {command.source}, runs on {checkout.base_branch}")
    setup = partial(run_setup, directories, checkout, command, environment, limits.setup_timeout_seconds, log)
    files, url = run_store("setup").files, request.repo_url.url
    start = time.monotonic()
    changed, _ = run_with_cache(files, directories, checkout, url, command.script, setup, note, services.restart)
    seconds = time.monotonic() - start
    if changed:
        note(f"{names(changed)}: changed by the setup command, and put back, because the files are the repository's")
    return seconds


def _where_setup_goes(checkout: Checkout, file: str) -> str:
    unused = "; without a setup, its cache has no effect" if checkout.cache else ""
    return f"{_where_to_add('setup', checkout, file)}{unused}"


def _where_to_add(key: str, checkout: Checkout, file: str) -> str:
    if not checkout.setup_source:
        return f"add {file} to the default branch"
    return f"add the key {key} to {checkout.setup_source}"
