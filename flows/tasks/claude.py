"""claude: the paid step. What the agent did is taken and kept first, and judged after that."""

import os
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prefect import get_run_logger
from pydantic import SecretStr

from flows.claude import events
from flows.claude.command import Session, argv, binary, environment
from flows.claude.outcome import AgentReport, AgentRun, judge
from flows.claude.process import run_agent
from flows.claude.prompt import continuation, prompt, system_prompt
from flows.claude.providers import ANTHROPIC_URL, Anthropic, Bedrock, ModelProvider
from flows.claude.settings import settings_file
from flows.errors import (
    AgentDenied,
    AgentRepoInvalid,
    ApiKeyMissing,
    AwsCredentialsMissing,
    BlockNotFound,
    RunError,
    UnexpectedSubmodule,
)
from flows.parameters import ClaudeCodeOptions
from flows.redaction import SECRETS
from flows.store import RunStore
from flows.tasks.policy import step
from flows.workspace.clone import Checkout
from flows.workspace.collect import Change, CommitIdentity, bundle, collect
from flows.workspace.directory import Workspace
from flows.workspace.instructions import Instructions
from flows.workspace.leaks import check_credentials

if TYPE_CHECKING:
    from blocks.claude_code import ClaudeCode
    from flows.claude.meter import Meter

_SESSION_NAMESPACE: Final = uuid.UUID("7a4f5b1e-5f0c-4f6c-9d57-2c1f6a0b8e11")


@dataclass(frozen=True)
class Work:
    """What the agent did: the change, what it says of it, and where the change is kept."""

    change: Change
    report: AgentReport
    kept: str


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
    from prefect_aws import AwsCredentials  # noqa: PLC0415 (a run on Anthropic's API does without AWS)

    credentials = (block and block.aws_credentials) or AwsCredentials(region_name=options.aws_region)
    session = credentials.get_boto3_session()
    if session.get_credentials() is None:
        raise AwsCredentialsMissing("no AWS credentials for Bedrock: give the process a role, a profile or keys")
    return Bedrock(session, options.aws_region, options.model_id)


def new_meter(options: ClaudeCodeOptions) -> "Meter":
    """Return the meter of a run, for all attempts of its agent."""
    from flows.claude.meter import Meter  # noqa: PLC0415 (the price list takes as long as a small task)
    from flows.claude.prices import ModelPrice  # noqa: PLC0415

    price = ModelPrice.of(options.provider, options.model_id)
    if not price.is_known:
        get_run_logger().warning(
            "the price of %s is not known: it counts as the dearest, %s, towards limits.max_budget_usd",
            options.model_id,
            price.model_id,
        )
    return Meter(price, options.limits.max_budget_usd)


@step("claude")
def run_claude(
    options: ClaudeCodeOptions,
    provider: ModelProvider,
    meter: "Meter",
    workspace: Workspace,
    checkout: Checkout,
    instructions: Instructions,
    identity: CommitIdentity,
    store: RunStore,
) -> Work:
    """Let Claude Code work; return the change, which is kept by then."""
    transcript = workspace.trusted / "transcript.jsonl"
    try:
        run = _run(options, provider, meter, workspace, checkout, instructions, store, transcript)
    finally:
        # Interrupted or not: what the agent said and did is paid for.
        change = collect(workspace, checkout, identity)
        kept = keep(workspace, store, change, transcript)
    check_credentials("the transcript", _text(transcript))
    report = judge(run, options)
    if change.fault:
        raise change_fault(change, kept)
    if report.permission_denials and not change.commit:
        denied = ", ".join(sorted(set(report.permission_denials)))
        raise AgentDenied(
            f"the agent changed nothing, and was denied {denied}: allow it in claude_settings.permissions"
        )
    return Work(change, report, kept)


def keep(workspace: Workspace, store: RunStore, change: Change, transcript: Path) -> str:
    """Store the transcript, redacted, and the change as it is; return where the change is."""
    if transcript.exists():
        store.keep_transcript(SECRETS.redact_bytes(transcript.read_bytes()))
    return store.keep_change(bundle(workspace.clean_git, change)) if change.commit else ""


def change_fault(change: Change, kept: str) -> RunError:
    """Return the error of a work tree that is no longer a repository as we gave it."""
    what = f"its files as they are, less what git could not take, are kept as {kept}" if kept else "nothing is changed"
    error = UnexpectedSubmodule if "does not have a commit checked out" in change.fault else AgentRepoInvalid
    return error(f"the agent left a work tree from which no change can be taken: {change.fault}; {what}")


def _text(transcript: Path) -> str:
    return transcript.read_bytes().decode("latin-1") if transcript.exists() else ""


def _session(workspace: Workspace, flow_run_id: str) -> Session:
    """Return the run's one session; it exists already where an attempt before this one got far enough to save it."""
    session_id = str(uuid.uuid5(_SESSION_NAMESPACE, flow_run_id))
    saved = (workspace.home / ".claude" / "projects").glob(f"*/{session_id}.jsonl")
    return Session(session_id, resumes=any(saved))


def _run(
    options: ClaudeCodeOptions,
    provider: ModelProvider,
    meter: "Meter",
    workspace: Workspace,
    checkout: Checkout,
    instructions: Instructions,
    store: RunStore,
    transcript: Path,
) -> AgentRun:
    from flows.claude.gateway import gateway  # noqa: PLC0415 (the web server is needed here only)

    logger = get_run_logger()
    session = _session(workspace, store.flow_run_id)
    workspace.lend(workspace.config / "settings.json", settings_file(options.claude_settings))
    workspace.lend(workspace.config / "system-prompt.md", system_prompt(checkout.project_memory).encode())
    words = prompt(workspace.instructions, instructions.main, instructions.main_text, instructions.others)
    asked = workspace.trusted / "prompt.md"
    asked.write_text(continuation() if session.resumes else words, encoding="utf-8")
    program = workspace.reachable_by_agent(binary())

    def log(event: events.Event) -> None:
        for line in events.steps(event):
            logger.info("%s", line.replace(f"{workspace.work_tree}/", "").replace(f"{workspace.instructions}/", ""))

    with gateway(provider, meter) as server:
        run = run_agent(
            workspace.agent.argv(argv(program, options, session, workspace.config, workspace.instructions)),
            environment=environment(options, server.url, server.token, workspace.agent_mark, os.environ),
            cwd=workspace.work_tree,
            prompt=asked,
            transcript=transcript,
            limits=options.limits,
            on_event=log,
        )
    logger.info("the model cost %s", meter)
    return replace(run, over_budget=meter.has_refused, cost_usd=meter.spent_usd)
