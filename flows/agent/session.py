"""The agent of a run: Claude Code with its provider, its meter and its session, started and listened to."""

import os
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from prefect import get_run_logger
from pydantic import SecretStr

from flows.agent.command import Session, argv, binary, environment
from flows.agent.outcome import AgentRun
from flows.agent.process import run_agent
from flows.agent.prompt import LOST_CONVERSATION, continuation, prompt, system_prompt
from flows.aws.session import new_session
from flows.errors import ApiKeyMissing, AwsCredentialsMissing, BlockNotFound, TurnLimitReached
from flows.model.providers import ANTHROPIC_URL, Anthropic, Bedrock, ModelProvider
from flows.parameters.claude_settings import settings_file
from flows.parameters.request import ClaudeCodeOptions
from flows.reporting.progress import show_progress
from flows.run.preload import warm_up_for_the_end
from flows.sandbox.workspace import Workspace
from flows.state.records import Checkpoint, Plan

if TYPE_CHECKING:
    from blocks.claude_code import ClaudeCode
    from flows.model.meter import Meter

_SESSION_NAMESPACE: Final = uuid.UUID("7a4f5b1e-5f0c-4f6c-9d57-2c1f6a0b8e11")


@dataclass
class Agent:
    """How a run's agent works, and how far it came, over all its attempts."""

    options: ClaudeCodeOptions
    provider: ModelProvider
    meter: "Meter"
    session_id: str = ""
    """Its conversation with Claude Code; empty before the first."""
    checkpoint: Checkpoint | None = None
    """The newest that is kept of its work."""


def load_claude_code(name: str) -> "ClaudeCode":
    """Load the block document; raise `BlockNotFound` where there is none."""
    from blocks.claude_code import ClaudeCode  # noqa: PLC0415

    try:
        return ClaudeCode.load(name)  # type: ignore[return-value]
    except ValueError:
        raise BlockNotFound(f"there is no Claude Code block {name!r}: make it in Prefect's UI under Blocks") from None


def model_provider(options: ClaudeCodeOptions, block: "ClaudeCode | None") -> ModelProvider:
    """Return the provider with its credentials; raise the named error of those that are missing."""
    if options.provider == "anthropic":
        key = block.api_key if block and block.api_key else SecretStr(os.environ.get("ANTHROPIC_API_KEY", ""))
        if not key.get_secret_value():
            raise ApiKeyMissing(
                "no API key for anthropic: set ANTHROPIC_API_KEY, or name a claude_code_block that has one"
            )
        return Anthropic(key, options.model_id, os.environ.get("ANTHROPIC_BASE_URL", ANTHROPIC_URL).rstrip("/"))
    given = block and block.aws_credentials
    session = given.get_boto3_session() if given else new_session(options.aws_region)
    if session.get_credentials() is None:
        raise AwsCredentialsMissing("no AWS credentials for Bedrock: give the process a role, a profile or keys")
    return Bedrock(session, options.aws_region, options.model_id)


def new_agent(options: ClaudeCodeOptions, provider: ModelProvider) -> Agent:
    """Return a run's agent; it has spent nothing yet."""
    from flows.model.meter import Meter  # noqa: PLC0415 (the price list takes as long as a small task)
    from flows.model.prices import ModelPrice  # noqa: PLC0415

    price = ModelPrice.of(options.provider, options.model_id)
    if not price.is_known:
        get_run_logger().warning(
            "the price of %s is not known: it counts as the dearest, %s, towards limits.max_budget_usd",
            options.model_id,
            price.model_id,
        )
    return Agent(options, provider, Meter(price, options.limits.max_budget_usd))


def session_id(after: str) -> str:
    """Return the id of a run's first session, after the run's id, or of the one after another that is of no use."""
    return str(uuid.uuid5(_SESSION_NAMESPACE, after))


def work(agent: Agent, workspace: Workspace, plan: Plan, flow_run_id: str) -> AgentRun:
    """Let the agent work to its end: in the session that it has, or, where that cannot be resumed, in a new one."""
    agent.session_id = agent.session_id or session_id(flow_run_id)
    session = _session(workspace, agent.session_id)
    run = _work(agent, workspace, plan, session, is_continued=agent.checkpoint is not None)
    if session.resumes and _found_no_conversation(run):
        get_run_logger().warning("the session cannot be resumed, a new one goes on: %s", run.stderr.strip())
        agent.session_id = session_id(agent.session_id)
        run = _work(agent, workspace, plan, Session(agent.session_id, resumes=False), is_continued=True)
    return replace(run, over_budget=agent.meter.has_refused, cost_usd=agent.meter.spent_usd)


def _found_no_conversation(run: AgentRun) -> bool:
    """Whether Claude Code ended before it asked the model anything; where it says why, in a result of no turn."""
    return not run.spoke and not run.ended_for and not (run.result and run.result.turns)


def _session(workspace: Workspace, name: str) -> Session:
    """Return the session; it exists already where an execution before this one got far enough to save it."""
    saved = (workspace.home / ".claude" / "projects").glob(f"*/{name}.jsonl")
    return Session(name, resumes=any(saved))


def _work(agent: Agent, workspace: Workspace, plan: Plan, session: Session, *, is_continued: bool) -> AgentRun:
    from flows.model.gateway import gateway  # noqa: PLC0415 (the web server is needed here only)

    options = _less_turns(agent)
    workspace.lend(workspace.config / "settings.json", settings_file(options.claude_settings))
    workspace.lend(workspace.config / "system-prompt.md", system_prompt(plan.checkout.project_memory).encode())
    asked = workspace.trusted / "prompt.md"
    asked.write_text(_words(workspace, plan, session, is_continued=is_continued), encoding="utf-8")
    program = workspace.reachable_by_agent(binary())
    warm_up_for_the_end()
    with (
        gateway(agent.provider, agent.meter) as server,
        show_progress(workspace, agent.meter, options.limits) as on_event,
    ):
        run = run_agent(
            workspace.agent.argv(argv(program, options, session, workspace.config, workspace.instructions)),
            environment=environment(options, server.url, server.token, workspace.agent_mark, os.environ),
            cwd=workspace.work_tree,
            prompt=asked,
            transcript=workspace.transcript,
            limits=options.limits,
            on_event=on_event,
        )
    get_run_logger().info("the model cost %s", agent.meter)
    return run


def _words(workspace: Workspace, plan: Plan, session: Session, *, is_continued: bool) -> str:
    if session.resumes:
        return continuation(workspace.work_tree, workspace.instructions)
    given = plan.instructions
    words = prompt(workspace.instructions, given.main, given.main_text, given.others)
    return f"{words}\n{LOST_CONVERSATION}" if is_continued else words


def _less_turns(agent: Agent) -> ClaudeCodeOptions:
    """Return the options with the turns that are left: Claude Code counts those of one process."""
    limits, taken = agent.options.limits, agent.meter.replies
    if not limits.max_turns or not taken:
        return agent.options
    if taken >= limits.max_turns:
        raise TurnLimitReached(f"the agent used its {limits.max_turns} turns: raise limits.max_turns, or ask for less")
    left = limits.model_copy(update={"max_turns": limits.max_turns - taken})
    return agent.options.model_copy(update={"limits": left})
