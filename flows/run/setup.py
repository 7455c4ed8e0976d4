"""The beginning of a run: its parameters checked, its provider found, before anything is started or spent."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

from prefect import get_run_logger, runtime
from prefect.results import get_default_result_storage
from prefect.settings import get_current_settings

from flows.agent.session import Agent, load_claude_code, model_provider
from flows.model.providers import ModelProvider
from flows.parameters.claude_settings import check_settings
from flows.parameters.request import ClaudeCodeOptions, Request, default_branch_name
from flows.redaction import SECRETS
from flows.reporting.log_filters import set_up_logs
from flows.repository.collect import CommitIdentity
from flows.sandbox.workspace import Workspace
from flows.state.records import Keepings, Plan
from flows.state.store import FileSystem, RunStore
from flows.tasks.claude import Work
from flows.text_safety import one_line


@dataclass
class Run:
    """A flow run whose parameters and provider are in order, and what is known of it so far."""

    request: Request
    options: ClaudeCodeOptions
    provider: ModelProvider
    store: RunStore
    workspace: Workspace
    kept: Keepings = field(default_factory=Keepings)
    """What an earlier execution of the run left, on this machine or another."""
    plan: Plan | None = None
    agent: Agent | None = None
    work: Work | None = None

    def identity(self, email: str) -> CommitIdentity:
        """Return who and when its commit says it is from."""
        date = self.plan.started_at if self.plan else scheduled_start()
        message = f"{self.request.commit_message}\n\nPrefect-Flow-Run: {self.store.flow_run_id}\n"
        return CommitIdentity(email, date, message)


def begin(given: Mapping[str, Any], workspace: Workspace) -> Run:
    """Check everything that can be checked without a server; raise the named error of the first that is wrong."""
    request, options = validate(given)
    block = load_claude_code(name) if (name := given["claude_code_block"]) else None
    if block:
        options = options.over(block.options())
        check_settings(options.claude_settings)
    provider = model_provider(options, block)
    if workspace.agent.missing_wall:
        get_run_logger().warning(
            "the wall between the agent and this process is missing: %s", workspace.agent.missing_wall
        )
    return Run(request, options, provider, run_store(), workspace)


def validate(given: Mapping[str, Any]) -> tuple[Request, ClaudeCodeOptions]:
    """Check a run's parameters, those left out at their defaults; raise the named error of the first that is wrong."""
    named = {**given, "branch_name": given.get("branch_name") or default_branch()}
    request = Request(**{name: named[name] for name in Request.model_fields if name in named})
    options = ClaudeCodeOptions(**{name: named[name] for name in ClaudeCodeOptions.model_fields if name in named})
    check_settings(options.claude_settings)
    return request, options


def flow_run_name() -> str:
    """Name a run by its repository and branch; the parameters are not checked yet."""
    given = runtime.flow_run.parameters
    repository = str(given.get("repo_url", "")).rstrip("/").rpartition("/")[2].removesuffix(".git")
    return one_line(f"{repository} @ {given.get('branch_name') or default_branch()}")


def default_branch() -> str:
    """Return the branch of this run, where it names none."""
    return default_branch_name(scheduled_start(), str(runtime.flow_run.id))


def scheduled_start() -> datetime:
    """Return when this run was to start: the same each time that it is executed."""
    return runtime.flow_run.scheduled_start_time or datetime.now(UTC)


def keep_secrets() -> None:
    """Know the secrets of this process, and have none of them logged."""
    set_up_logs()
    SECRETS.learn_environment({**os.environ, **_prefect_credentials()})


def run_store() -> RunStore:
    """Return what this run keeps, in Prefect's result storage."""
    files = cast("FileSystem", get_default_result_storage())
    return RunStore(files, str(runtime.flow_run.id), execution=uuid4().hex)


def _prefect_credentials() -> dict[str, str]:
    """Return what opens the Prefect API: it may be in a profile, and in no variable."""
    api = get_current_settings().api
    found = {"PREFECT_API_KEY": api.key, "PREFECT_API_AUTH_STRING": api.auth_string}
    return {name: secret.get_secret_value() for name, secret in found.items() if secret}
