"""Defines a run's agent: Claude Code, its model provider and its meter. A run's attempts share one conversation."""

import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from flows.agent.command import MCP_CONFIG, Session, argv, binary, environment
from flows.agent.config_folder import new_config_folder, read_conversation
from flows.agent.event_types import Event, SessionStarted
from flows.agent.extensions import read_extensions, write_extensions
from flows.agent.outcome import AgentRun
from flows.agent.process import run_agent
from flows.agent.prompt import SYSTEM_PROMPT
from flows.agent.remaining import options_for_one_process
from flows.agent.repair import Repair
from flows.agent.request import Request, task_of, whole_prompt
from flows.agent.settings import settings_file
from flows.errors import CommandFailed
from flows.model.providers import ModelProvider
from flows.parameters.change_policy import ChangePolicy
from flows.parameters.claude_code import ClaudeCodeOptions
from flows.parameters.mcp_servers import mcp_config
from flows.sandbox.network import network_variables
from flows.sandbox.shell import agent_shell_environment
from flows.sandbox.workspace import Workspace
from flows.state.records import Checkpoint, Plan

if TYPE_CHECKING:
    from flows.model.meter import Meter

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]
Observer = Callable[[], AbstractContextManager[Callable[[Event], None]]]
"""Returns a context manager for the time that Claude Code runs. It yields a function to call with each event."""

_SESSION_NAMESPACE: Final = uuid.UUID("7a4f5b1e-5f0c-4f6c-9d57-2c1f6a0b8e11")


@dataclass
class Agent:
    """The agent of one run: the options for Claude Code, the model provider, the conversation and the spending."""

    options: ClaudeCodeOptions
    provider: ModelProvider
    session_id: str = ""
    """The id of the conversation with Claude Code; empty before the first conversation."""
    variables: Mapping[str, SecretStr] = field(default_factory=dict)
    """The variables of the block's `agent_environment`."""
    secrets: Mapping[str, SecretStr] = field(default_factory=dict)
    """All secrets that the agent gets from the block, by what they are called."""
    mcp_servers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The block's `mcp_servers`, in Claude Code's form."""
    warning: str = ""
    """What a reader of the report has to know of the agent's tools."""
    services: str = ""
    """The services that run beside the agent, with their addresses; empty without services."""
    conversation: bytes = b""
    """Claude Code's file of the conversation, read when the last process of Claude Code had ended."""
    worked_seconds: float = 0
    """How long the agent has worked, over all its processes that have ended."""
    round: int = 0
    """The number of the repair that the agent has begun; 0 before the first repair."""
    feedback: int = 0
    """How many times the operator has given feedback."""
    version: str = ""
    """The version of Claude Code, as its last process said. Processes of the agent may have said it, too."""
    verify_commands: tuple[str, ...] = ()
    """The commands that check the change after the agent's work."""
    _is_running: bool = False
    _started: float | None = None  # the current process

    @cached_property
    def meter(self) -> "Meter":
        """Counts what the run spends on the model. Created at first use, because the price list loads slowly."""
        from flows.model.meter import Meter  # noqa: PLC0415
        from flows.model.prices import ModelPrice  # noqa: PLC0415

        price = ModelPrice.of(self.options.provider, self.options.model_id)
        return Meter(price, self.options.limits.max_budget_usd)

    @property
    def worked_seconds_now(self) -> float:
        """How long the agent has worked up to this moment."""
        return self.worked_seconds + (time.monotonic() - self._started if self._started is not None else 0)

    def agent_environment(self) -> dict[str, str]:
        """Return the variables of the block's `agent_environment`, for any command that runs as the agent's user."""
        return {name: value.get_secret_value() for name, value in self.variables.items()}

    def shell_environment(self, workspace: Workspace) -> dict[str, str]:
        """Return all variables of a shell command that runs as the agent's user, outside Claude Code."""
        return agent_shell_environment(workspace, self.variables, os.environ)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint: with its conversation, and with its count of what the run has spent."""
        self.session_id, self.conversation = checkpoint.session_id, checkpoint.session
        self.meter.resume(checkpoint.spending)

    def join(self, session_id: str, conversation: bytes) -> None:
        """Continue the conversation of another run. What that run has spent does not count."""
        self.session_id, self.conversation = session_id, conversation

    def work(
        self,
        workspace: Workspace,
        plan: Plan,
        policy: ChangePolicy,
        flow_run_id: str,
        observer: Observer,
        logger: Logger,
        *,
        is_continued: bool,
        request: Request | None = None,
    ) -> AgentRun:
        """Run Claude Code and return how it ended. If the conversation so far cannot be resumed, start a new one.

        Args:
            workspace: The run's directories.
            plan: Holds the commit that the work starts from, and the instructions.
            policy: The rules for what the change may contain. They become part of the prompt.
            flow_run_id: The run's id, from which the id of the conversation is derived.
            observer: Returns a context manager for the time that Claude Code runs. It yields a function to call with
                each event.
            logger: The run's log.
            is_continued: Whether the work tree holds work of an earlier attempt.
            request: Why the agent shall continue work that it had ended; None for work that it has not ended.

        Raises:
            TurnLimitReached: Earlier attempts of the run have used all permitted turns.
            AgentTimeout: Nothing is left for a repair of the time in which the agent may work.
        """
        if not self.meter.price.is_known:
            logger.warning(
                "the price of %s is unknown: the cost is counted at the price of %s, the most expensive Claude model",
                self.options.model_id,
                self.meter.price.model_id,
            )
        self.session_id = self.session_id or _session_id(flow_run_id)
        session = Session(self.session_id, resumes=bool(self.conversation))
        run = partial(self._run, workspace, plan, policy, request, observer=observer, logger=logger)
        result = run(session=session, is_continued=is_continued)
        if session.resumes and _is_without_conversation(result):
            logger.warning("the conversation cannot be resumed, and a new one starts: %s", result.stderr.strip())
            self.session_id, self.conversation = _session_id(self.session_id), b""
            session = Session(self.session_id, resumes=False)
            result = run(session=session, is_continued=True)
        logger.info("the model cost %s", "; ".join(filter(None, (str(self.meter), str(self.meter.cache)))))
        meter = self.meter
        return replace(result, over_budget=meter.has_refused, cost_usd=meter.spent_usd, cache=meter.cache)

    def read_conversation(self, workspace: Workspace) -> bytes:
        """Return the conversation of this moment, also while Claude Code works."""
        content = read_conversation(workspace, self.session_id) if self._is_running else b""
        return content if self._is_running else self.conversation

    @contextmanager
    def config_folder(self, workspace: Workspace) -> Iterator[Path]:
        """Yield a new configuration folder for one process of Claude Code. At its end, read the conversation."""
        new_config_folder(workspace, self.session_id, self.conversation)
        self._is_running = True
        try:
            yield workspace.claude_folder
        finally:
            workspace.agent.end_processes()
            with suppress(CommandFailed):  # a later attempt has taken over, and its checkpoints count
                self.conversation = read_conversation(workspace, self.session_id)
            self._is_running = False

    def _run(
        self,
        workspace: Workspace,
        plan: Plan,
        policy: ChangePolicy,
        request: Request | None,
        *,
        session: Session,
        observer: Observer,
        logger: Logger,
        is_continued: bool,
    ) -> AgentRun:
        from flows.model.gateway import gateway  # noqa: PLC0415 (only a run needs the web server)

        worked_seconds = self.worked_seconds if isinstance(request, Repair) else 0
        options = options_for_one_process(self.options, self.meter.replies, worked_seconds)
        settings = settings_file(options.claude_settings, _skills(workspace), self.mcp_servers)
        workspace.lend(workspace.config / "settings.json", settings)
        workspace.lend(workspace.config / "system-prompt.md", SYSTEM_PROMPT.encode())
        if self.mcp_servers:
            workspace.lend(workspace.config / MCP_CONFIG, mcp_config(self.mcp_servers))
        prompt_file = workspace.trusted / "prompt.md"
        task = task_of(workspace, plan, session, request, is_continued=is_continued)
        text = whole_prompt(task, self.services, self.verify_commands, plan, policy)
        prompt_file.write_text(text, encoding="utf-8")
        program = workspace.reachable_by_agent(binary())
        with (
            gateway(self.provider, self.meter, logger.warning) as server,
            observer() as observe,
            self.config_folder(workspace) as config_folder,
            self._timed(),
        ):
            extensions = read_extensions(workspace.clean_git, plan.checkout.base_commit)
            write_extensions(workspace, extensions)
            own = {**workspace.agent_variables, "CLAUDE_CONFIG_DIR": str(config_folder)}
            variables = {**network_variables(workspace, os.environ), **self.agent_environment(), **own}

            def on_event(event: Event) -> None:
                observe(event)
                if isinstance(event, SessionStarted):
                    self.version = event.version
                    self._warn_of_failed_servers(event, logger)
                # On Bedrock, Claude Code retries a refused request for three minutes.
                if server.error:
                    raise server.error

            command = argv(
                program,
                options,
                session,
                workspace.config,
                workspace.instructions,
                is_isolated=not workspace.agent.missing_isolation,
                subagent_tools=extensions.tools,
                has_mcp_servers=bool(self.mcp_servers),
            )
            result = run_agent(
                workspace.agent.argv(command),
                environment=environment(
                    options,
                    server.url,
                    server.token,
                    variables,
                    os.environ,
                    caches_for_an_hour=request is not None and request.needs_long_cache,
                ),
                cwd=workspace.work_tree,
                prompt=prompt_file,
                transcript=workspace.transcript,
                limits=options.limits,
                on_event=on_event,
                last_byte_at=lambda: server.last_byte_at,
            )
            return replace(result, provider_error=server.provider_error)

    def _warn_of_failed_servers(self, event: SessionStarted, logger: Logger) -> None:
        # The agent's processes can write into the stream of events, too.
        if names := ", ".join(name for name in event.failed_servers if name in self.mcp_servers):
            self.warning = f"the agent worked without the MCP servers that could not be used: {names}"
            logger.warning("%s", self.warning)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        self._started = time.monotonic()
        try:
            yield
        finally:
            self.worked_seconds, self._started = self.worked_seconds_now, None


def _session_id(previous: str) -> str:
    """Return the id of a new conversation. It is derived from the run's id or from the previous conversation's id."""
    return str(uuid.uuid5(_SESSION_NAMESPACE, previous))


def _is_without_conversation(result: AgentRun) -> bool:
    """Return whether Claude Code ended by itself before its first turn: with no result, or one of zero turns."""
    return not result.model_replied and not result.end_reason and not (result.result and result.result.turns)


def _skills(workspace: Workspace) -> Path:
    # Not resolved as a whole: the folder of an earlier process may have links that the agent made.
    return workspace.root.resolve() / workspace.claude_folder.name / "skills"
