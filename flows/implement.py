"""The flow: a git repository and instructions in, a pushed branch out."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from inspect import signature
from typing import Any, cast

from prefect import flow, get_run_logger, runtime
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, wait
from prefect.results import get_default_result_storage
from prefect.settings import get_current_settings
from prefect.states import Completed

from flows.claude.providers import ModelProvider
from flows.claude.settings import check_settings
from flows.credentials import GitCredentials
from flows.keepings import Keepings, Plan
from flows.parameters import (
    DEFAULT_CLONE_DEPTH,
    DEFAULT_COMMIT_MESSAGE,
    DEFAULT_REGION,
    DEFAULT_SECRET_ID,
    DEFAULT_SETTINGS,
    ChangePolicy,
    ClaudeCodeOptions,
    Limits,
    Provider,
    Request,
    default_branch_name,
)
from flows.redaction import SECRETS
from flows.report import Delivery, headline
from flows.store import FileSystem, RunStore
from flows.tasks.agent import load_claude_code, model_provider, new_agent
from flows.tasks.checkpoints import keep_start
from flows.tasks.claude import Work, finished_work, run_claude, take_up
from flows.tasks.clone import clone, clone_again
from flows.tasks.instructions import fetch_instructions
from flows.tasks.logs import set_up_logs
from flows.tasks.push import push
from flows.tasks.report import publish_report
from flows.tasks.secret import read_secret
from flows.workspace.collect import CommitIdentity
from flows.workspace.directory import Workspace
from flows.workspace.directory import workspace as run_workspace
from flows.workspace.instructions import from_contents


def flow_run_name() -> str:
    """Name a run by its repository and branch; the parameters are not checked yet."""
    given = runtime.flow_run.parameters
    repository = str(given.get("repo_url", "")).rstrip("/").rpartition("/")[2].removesuffix(".git")
    return f"{repository} @ {given.get('branch_name') or _default_branch()}"


@flow(flow_run_name=flow_run_name)
def implement(
    repo_url: str,
    instructions_s3_uri: str = "",
    instructions: str = "",
    branch_name: str = "",
    base_branch: str = "",
    commit_message: str = DEFAULT_COMMIT_MESSAGE,
    git_credentials_secret_id: str = DEFAULT_SECRET_ID,
    git_credentials_block: str = "",
    provider: Provider = "bedrock",
    claude_model_id: str = "",
    aws_region: str = DEFAULT_REGION,
    claude_settings: dict[str, Any] = DEFAULT_SETTINGS,
    disable_prompt_cache: bool = False,
    claude_code_block: str = "",
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    clone_depth: int = DEFAULT_CLONE_DEPTH,
    allow_default_branch: bool = False,
    policy: ChangePolicy = ChangePolicy(),  # noqa: B008 (frozen)
) -> State[Delivery]:
    """Let Claude Code implement written instructions in a git repository, and push the result as a branch.

    Args:
        repo_url: The repository's https URL, without credentials.
        instructions_s3_uri: s3://bucket/file.md for one file, or s3://bucket/folder/* for every object below it.
        instructions: The instructions themselves, in place of instructions_s3_uri.
        branch_name: The branch to push. One that exists is continued. Empty: feature/claude-implementation-, the
            run's scheduled start, and a part of its id.
        base_branch: The branch that a new branch starts from. Empty: the repository's default branch.
        commit_message: The commit's message; the flow run's id is added as a trailer.
        git_credentials_secret_id: Name or ARN of the secret in AWS Secrets Manager that holds {"token", "email"}.
        git_credentials_block: Name of a Git Credentials block, in place of the secret.
        provider: Who serves the model: Amazon Bedrock, or Anthropic's own API.
        claude_model_id: The model's id, as the provider names it. Empty: the current Sonnet.
        aws_region: The AWS region of the secret, the instructions and Bedrock.
        claude_settings: Claude Code's settings as a JSON object: which tools it may use above all.
        disable_prompt_cache: Do not let the provider cache the conversation; costs more.
        claude_code_block: Name of a Claude Code block; it decides what is left at its default here.
        limits: Where the run stops by itself.
        clone_depth: How many commits of the history to fetch. 0: all of them.
        allow_default_branch: Let branch_name be the repository's default branch.
        policy: What the change may hold to be pushed; one that may not is kept.
    """
    run = _begin(locals())
    with run_workspace() as workspace:
        _warn_of_missing_wall(workspace.agent.missing_wall)
        credentials = read_secret(run.request)
        kept = Keepings.load(run.store)
        if kept.plan:  # by an earlier execution of this run, on this machine or another
            plan, work = _go_on(run, workspace, credentials, kept, kept.plan)
        else:
            plan, work = _start(run, workspace, credentials)
        push(run.request, credentials, workspace, work.change, work.kept)
        delivery = publish_report(run.request, workspace, plan.instructions, work, run.store)
    name = "Completed" if delivery.commit else "NoChanges"
    return Completed(name=name, message=headline(delivery), data=delivery)


@dataclass(frozen=True)
class _Run:
    """A flow run whose parameters and provider are in order."""

    request: Request
    options: ClaudeCodeOptions
    provider: ModelProvider
    store: RunStore

    def identity(self, email: str, date: datetime) -> CommitIdentity:
        message = f"{self.request.commit_message}\n\nPrefect-Flow-Run: {self.store.flow_run_id}\n"
        return CommitIdentity(email, date, message)


def _start(run: _Run, workspace: Workspace, credentials: GitCredentials) -> tuple[Plan, Work]:
    """The work of a run from its beginning."""
    cloning = clone.submit(run.request, credentials, workspace)
    fetching = fetch_instructions.submit(run.request, workspace)
    agent = new_agent(run.options, run.provider)
    _wait(cloning, fetching)  # neither may outlive the directory that it writes to
    plan = Plan(run.request.repo_url.url, cloning.result(), fetching.result(), _scheduled_start())
    keep_start(run.store, plan, workspace)
    return plan, run_claude(agent, workspace, plan, run.identity(credentials.email, plan.started_at), run.store)


def _go_on(
    run: _Run, workspace: Workspace, credentials: GitCredentials, kept: Keepings, plan: Plan
) -> tuple[Plan, Work]:
    """The work of a run that began elsewhere: the same start, the same instructions, nothing done twice."""
    clone_again(run.request, credentials, workspace, plan.checkout, work_tree=kept.finished is None)
    if kept.finished:
        return plan, finished_work(workspace, plan, kept.finished, run.store)
    from_contents(workspace, plan.contents)
    agent = new_agent(run.options, run.provider)
    take_up(workspace, agent, kept)
    return plan, run_claude(agent, workspace, plan, run.identity(credentials.email, plan.started_at), run.store)


def validate(given: dict[str, Any]) -> tuple[Request, ClaudeCodeOptions]:
    """Check a run's parameters, those left out at their defaults; raise the named error of the first that is wrong."""
    defaults = {name: parameter.default for name, parameter in signature(implement.fn).parameters.items()}
    values = {**defaults, **given}
    values["branch_name"] = values["branch_name"] or _default_branch()
    request = Request(**{name: values[name] for name in Request.model_fields})
    options = ClaudeCodeOptions(**{name: values[name] for name in ClaudeCodeOptions.model_fields})
    check_settings(options.claude_settings)
    return request, options


def _begin(given: dict[str, Any]) -> _Run:
    """Check everything that can be checked without a server, before anything is started."""
    set_up_logs()
    SECRETS.learn_environment({**os.environ, **_prefect_credentials()})
    request, options = validate(given)
    block = load_claude_code(name) if (name := given["claude_code_block"]) else None
    if block:
        options = options.over(block.options())
        check_settings(options.claude_settings)
    files = cast("FileSystem", get_default_result_storage())
    return _Run(request, options, model_provider(options, block), RunStore(files, str(runtime.flow_run.id)))


def _prefect_credentials() -> dict[str, str]:
    """Return what opens the Prefect API: it may be in a profile, and in no variable."""
    api = get_current_settings().api
    found = {"PREFECT_API_KEY": api.key, "PREFECT_API_AUTH_STRING": api.auth_string}
    return {name: secret.get_secret_value() for name, secret in found.items() if secret}


def _default_branch() -> str:
    return default_branch_name(_scheduled_start(), str(runtime.flow_run.id))


def _scheduled_start() -> datetime:
    return runtime.flow_run.scheduled_start_time or datetime.now(UTC)


def _wait(*futures: PrefectFuture[Any]) -> None:
    wait(list(futures))


def _warn_of_missing_wall(reason: str) -> None:
    if reason:
        get_run_logger().warning("the wall between the agent and this process is missing: %s", reason)
