"""Sets up a run: checks its parameters and connects to its model provider before anything is started or paid for."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import uuid4

from prefect import get_run_logger, runtime
from prefect.results import get_default_result_storage
from prefect.settings import get_current_settings

from flows.agent.session import Agent
from flows.aws.credentials import AwsBlock, usable_block
from flows.credential_values import check_environment, strip_environment
from flows.errors import BlockNotFound, InvalidBlock, InvalidVerifyCommands, NoSavedChange
from flows.model.providers import PROVIDERS, RegisteredProvider
from flows.outcome.timing import StepTimes
from flows.parameters.addresses import RepoUrl
from flows.parameters.claude_code import ClaudeCodeOptions
from flows.parameters.deliver import DeliverParameters
from flows.parameters.implement import ImplementParameters
from flows.parameters.mcp_servers import MCP_SERVERS, mcp_config
from flows.parameters.pull_request import PullRequest
from flows.parameters.signature import RawParameters
from flows.redaction import SECRETS
from flows.reporting.log_filters import set_up_logs
from flows.run.rounds import verify_commands
from flows.run.run import DeliverRun, ImplementRun, default_branch
from flows.sandbox.network import proxies_with_credentials
from flows.sandbox.workspace import Workspace
from flows.state.files import StateFile
from flows.state.saved_run import SavedRun
from flows.state.store import FileSystem, RunStore

if TYPE_CHECKING:
    from blocks.claude_code import ClaudeCode


_OF_THE_CHECKOUT: Final = ("limits", "submodules", "clone_depth")
"""The parameters of a saved run that a verification of its change needs."""

_OF_THE_MODEL: Final = ("provider", "claude_code_block")
"""The parameters of a saved run that a delivery does not use, but names for the next run."""


def set_up(parameters: RawParameters[ImplementParameters], workspace: Workspace, steps: StepTimes) -> ImplementRun:
    """Return the run, after all checks that need no server; raise a `RunError` for the first problem."""
    check_environment(os.environ)
    request = parameters.checked(branch_name=default_branch())
    agent = set_up_agent(request, workspace)
    store = run_store(str(runtime.flow_run.id), attempt=uuid4().hex)
    return ImplementRun(request, workspace, SavedRun(store), steps, [], agent)


def set_up_agent(request: ImplementParameters, workspace: Workspace) -> Agent:
    """Return the run's agent, and warn of what it lacks; raise a `RunError` if it cannot be started."""
    block = load_claude_code(request.claude_code_block, request.repo_url) if request.claude_code_block else None
    options = request.claude_code_options(block.options() if block else None)
    agent = Agent(options, model_provider(options, block))
    if block:
        agent.variables, agent.secrets, agent.mcp_servers = (
            block.agent_variables(),
            block.agent_secrets(),
            block.servers(),
        )
    _warn_of_missing_isolation(workspace)
    if workspace.account.missing:
        get_run_logger().warning(
            "the agent's user has no name in this machine's accounts: %s", workspace.account.missing
        )
    if names := proxies_with_credentials(os.environ):
        get_run_logger().warning(
            "the agent's commands do not get %s, because the address holds a user name or password", ", ".join(names)
        )
    return agent


def _warn_of_missing_isolation(workspace: Workspace) -> None:
    if workspace.agent.missing_isolation:
        get_run_logger().warning("the agent is not isolated from this process: %s", workspace.agent.missing_isolation)


def set_up_delivery(parameters: DeliverParameters, workspace: Workspace, steps: StepTimes) -> DeliverRun:
    """Return a run that delivers the change of another run; raise `NoSavedChange` if that run has saved no change."""
    check_environment(os.environ)
    saved = SavedRun(run_store(parameters.flow_run_id))
    saved.load(get_run_logger())
    saved.load_change()
    if saved.plan is None or saved.finished is None or not saved.finished.bundle:
        raise NoSavedChange(
            f"the run {parameters.flow_run_id!r} has saved no change here: check the id, and check that this process "
            "uses the run store of that run"
        )
    saved_request = json.loads(saved.store.read(StateFile.REQUEST) or b"{}")
    block = _saved_block(saved_request, RepoUrl.parse(saved.plan.repo_url) if parameters.verify else None)
    request = ImplementParameters(
        repo_url=saved.plan.repo_url,
        instructions="saved",
        branch_name=parameters.branch_name or saved.plan.checkout.branch,
        git_credentials_secret_id=parameters.git_credentials_secret_id,
        git_credentials_block=parameters.git_credentials_block,
        aws_region=parameters.aws_region,
        allow_default_branch=parameters.allow_default_branch,
        policy=parameters.policy,
        lfs=saved_request.get("lfs", False),
        base_branch=saved_request.get("base_branch", ""),
        pull_request=parameters.pull_request.over(PullRequest(**saved_request.get("pull_request") or {})),
        forge=parameters.forge or saved_request.get("forge", ""),
        forge_api_url=parameters.forge_api_url or saved_request.get("forge_api_url", ""),
        verification=saved_request.get("verification") or {},
        **{name: saved_request[name] for name in _OF_THE_CHECKOUT if parameters.verify and name in saved_request},
        **{name: saved_request[name] for name in _OF_THE_MODEL if name in saved_request},
    )
    run = DeliverRun(request, workspace, saved, steps, [], parameters.apply_to_latest)
    return _verifying(run, block) if parameters.verify else run


def _verifying(run: DeliverRun, block: "ClaudeCode | None") -> DeliverRun:
    """Return a copy of a delivery that verifies the change with the commands, limits and variables of the saved run.

    Raises:
        InvalidVerifyCommands: The saved run has no verify commands.
    """
    if run.saved.plan is None or verify_commands(run, run.saved.plan.checkout) is None:
        raise InvalidVerifyCommands(
            f"the run {run.saved.store.flow_run_id} has no verify commands, neither as a parameter nor in its "
            "repository's file, so its change cannot be verified again: deliver it without verify"
        )
    _warn_of_missing_isolation(run.workspace)
    limits = run.request.claude_code_options(block.options() if block else None).limits
    return replace(
        run,
        request=run.request.model_copy(update={"limits": limits}),
        verifies=True,
        variables=block.agent_variables() if block else {},
        secrets=block.agent_secrets() if block else {},
    )


def _saved_block(request: Mapping[str, Any], repo_url: RepoUrl | None) -> "ClaudeCode | None":
    """Return the Claude Code block of a saved run. A change that contains one of its secrets is not pushed.

    Args:
        request: The parameters of the saved run.
        repo_url: The repository that the block is used for; None to use the block for no repository.

    Raises:
        BlockNotFound: The run had a block, and it no longer exists.
    """
    name = request.get("claude_code_block")
    return load_claude_code(name, repo_url) if name else None


def load_claude_code(name: str, repo_url: RepoUrl | None = None) -> "ClaudeCode":
    """Return the ClaudeCode block with this name. The secrets that it has for the agent are redacted from now on.

    Args:
        name: The name of the block.
        repo_url: The repository that the block is used for; None to use the block for no repository.

    Raises:
        BlockNotFound: The block does not exist.
        InvalidBlock: The block contains an unusable value.
        BlockNotForRepository: The block is for other repositories.
    """
    from blocks.claude_code import ClaudeCode  # noqa: PLC0415 (its import takes a second)

    try:
        block: ClaudeCode = ClaudeCode.load(name)  # type: ignore[assignment]
    except ValueError:
        raise BlockNotFound(f"there is no Claude Code block {name!r}: create it in Prefect's UI under Blocks") from None
    except RuntimeError:  # its cause may quote the block's fields
        raise InvalidBlock(
            f"the Claude Code block {name!r} contains values of other types than its form asks for: save it again in "
            "Prefect's UI under Blocks"
        ) from None
    if repo_url:
        block.check_repository(repo_url)
    for secret, value in block.agent_secrets().items():
        _check_for_agent(secret, value.get_secret_value())
        SECRETS.learn(secret, value.get_secret_value(), is_for_agent=True)
    _check_for_agent(MCP_SERVERS, mcp_config(block.servers()).decode())
    return block


def _check_for_agent(name_of_value: str, value: str) -> None:
    """Raise `InvalidBlock` if a value that the agent gets contains a credential of the flow's process."""
    for name in SECRETS.found_in(value):
        # A password may be an ordinary word that another service has as well.
        if not SECRETS.is_for_agent(name) and not name.startswith("the password in "):
            raise InvalidBlock(
                f"the Claude Code block: the value of {name_of_value} contains {name} of the flow's process, which the "
                "agent must not get: give it a credential of its own that can do less"
            )


def model_provider(options: ClaudeCodeOptions, block: "ClaudeCode | None") -> RegisteredProvider:
    """Return the run's model provider, connected with its credentials; raise a `RunError` if they are missing."""
    provider = PROVIDERS[options.provider]
    block_value = getattr(block, provider.block_field) if block and provider.block_field else None
    return provider.connect(block_value, options.aws_region, options.model_id)


def redact_secrets() -> None:
    """Register this process's secrets, so that they are redacted in everything that the process logs and publishes."""
    set_up_logs()
    api = get_current_settings().api  # its credentials may be in a profile, and in no variable
    settings = {"PREFECT_API_KEY": api.key, "PREFECT_API_AUTH_STRING": api.auth_string}
    credentials = {name: secret.get_secret_value() for name, secret in settings.items() if secret}
    SECRETS.learn_environment({**os.environ, **credentials})
    for provider in PROVIDERS.values():
        for variable in provider.secret_variables:
            SECRETS.learn(variable, os.environ.get(variable))
    strip_environment(os.environ)


def run_store(flow_run_id: str, attempt: str = "") -> RunStore:
    """Return the run store of a run, in Prefect's result storage.

    Raises:
        InvalidCredential: A key in the storage's AWS block cannot be sent.
    """
    files: Any = get_default_result_storage()
    block = getattr(files, "credentials", None)
    if isinstance(block, AwsBlock):
        files.credentials = usable_block(block, "the block of Prefect's result storage")
    return RunStore(cast("FileSystem", files), flow_run_id, attempt=attempt)
