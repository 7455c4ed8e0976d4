"""The agent of a run: Claude Code with its provider and its meter, in one conversation over all attempts of the run."""

import logging
import os
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from flows.agent.command import Session, argv, binary, environment
from flows.agent.event_types import Event
from flows.agent.outcome import AgentRun
from flows.agent.process import run_agent
from flows.agent.prompt import LOST_CONVERSATION, continuation, prompt, system_prompt
from flows.agent.settings import settings_file
from flows.errors import TurnLimitReached
from flows.model.providers import ModelProvider
from flows.parameters.claude_code import ClaudeCodeOptions
from flows.sandbox.workspace import Workspace
from flows.state.records import Checkpoint, Plan

if TYPE_CHECKING:
    from flows.model.meter import Meter

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]
Observer = Callable[[], AbstractContextManager[Callable[[Event], None]]]
"""Opened while Claude Code runs; what it yields is called with each event."""

_SESSION_NAMESPACE: Final = uuid.UUID("7a4f5b1e-5f0c-4f6c-9d57-2c1f6a0b8e11")


@dataclass
class Agent:
    """How a run's agent works, and how far it came."""

    options: ClaudeCodeOptions
    provider: ModelProvider
    session_id: str = ""
    """The id of its conversation with Claude Code; empty before the first."""

    @cached_property
    def meter(self) -> "Meter":
        """What the run spends on the model. The import of the price list takes as long as a small task."""
        from flows.model.meter import Meter  # noqa: PLC0415
        from flows.model.prices import ModelPrice  # noqa: PLC0415

        price = ModelPrice.of(self.options.provider, self.options.model_id)
        return Meter(price, self.options.limits.max_budget_usd)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Continue the conversation, and the count of what is spent, from a checkpoint."""
        self.session_id = checkpoint.session_id
        self.meter.resume(checkpoint.spending)

    def work(
        self,
        workspace: Workspace,
        plan: Plan,
        flow_run_id: str,
        observer: Observer,
        logger: Logger,
        *,
        is_continued: bool,
    ) -> AgentRun:
        """Let Claude Code work to its end: in the conversation so far or, if that cannot be resumed, in a new one.

        Args:
            workspace: The run's directories.
            plan: Where the work starts from, and the instructions.
            flow_run_id: The run's id, from which the conversation's id is made.
            observer: Opened while Claude Code runs; what it yields is called with each event.
            logger: Receives what the run's log should say.
            is_continued: Whether the work tree holds work of an earlier attempt.

        Raises:
            TurnLimitReached: Earlier attempts of the run have used all turns.
        """
        if not self.meter.price.is_known:
            logger.warning(
                "the price of %s is not known: limits.max_budget_usd counts it at the price of %s, the most expensive",
                self.options.model_id,
                self.meter.price.model_id,
            )
        self.session_id = self.session_id or _session_id(flow_run_id)
        session = _session(workspace, self.session_id)
        result = self._run(workspace, plan, session, observer, logger, is_continued=is_continued)
        if session.resumes and _is_without_conversation(result):
            logger.warning("the conversation cannot be resumed, a new one starts: %s", result.stderr.strip())
            self.session_id = _session_id(self.session_id)
            session = Session(self.session_id, resumes=False)
            result = self._run(workspace, plan, session, observer, logger, is_continued=True)
        logger.info("the model cost %s", self.meter)
        return replace(result, over_budget=self.meter.has_refused, cost_usd=self.meter.spent_usd)

    def _run(
        self,
        workspace: Workspace,
        plan: Plan,
        session: Session,
        observer: Observer,
        logger: Logger,
        *,
        is_continued: bool,
    ) -> AgentRun:
        from flows.model.gateway import gateway  # noqa: PLC0415 (the web server is needed here only)

        options = self._options_for_one_process()
        workspace.lend(workspace.config / "settings.json", settings_file(options.claude_settings))
        workspace.lend(workspace.config / "system-prompt.md", system_prompt(plan.checkout.project_memory).encode())
        prompt_file = workspace.trusted / "prompt.md"
        prompt_file.write_text(_prompt(workspace, plan, session, is_continued=is_continued), encoding="utf-8")
        program = workspace.reachable_by_agent(binary())
        with gateway(self.provider, self.meter, logger.warning) as server, observer() as observe:

            def on_event(event: Event) -> None:
                observe(event)
                # On Bedrock, Claude Code retries a refused request for three minutes.
                if server.error:
                    raise server.error

            return run_agent(
                workspace.agent.argv(argv(program, options, session, workspace.config, workspace.instructions)),
                environment=environment(options, server.url, server.token, workspace.agent_mark, os.environ),
                cwd=workspace.work_tree,
                prompt=prompt_file,
                transcript=workspace.transcript,
                limits=options.limits,
                on_event=on_event,
            )

    def _options_for_one_process(self) -> ClaudeCodeOptions:
        """Return the options with the turns that are left: Claude Code counts the turns of one process."""
        limits, used = self.options.limits, self.meter.replies
        if not limits.max_turns or not used:
            return self.options
        if used >= limits.max_turns:
            raise TurnLimitReached(
                f"the agent used its {limits.max_turns} turns: raise limits.max_turns, or ask for less"
            )
        rest = limits.model_copy(update={"max_turns": limits.max_turns - used})
        return self.options.model_copy(update={"limits": rest})


def _session_id(previous: str) -> str:
    """Return the id of the run's first conversation, from the run's id; or of the next one, from the previous id."""
    return str(uuid.uuid5(_SESSION_NAMESPACE, previous))


def _session(workspace: Workspace, session_id: str) -> Session:
    """Return the session; Claude Code resumes it if an earlier process got far enough to save it."""
    saved = (workspace.home / ".claude" / "projects").glob(f"*/{session_id}.jsonl")
    return Session(session_id, resumes=any(saved))


def _is_without_conversation(result: AgentRun) -> bool:
    """Whether Claude Code ended before it asked the model anything; it may say why, in a result of no turn."""
    return not result.spoke and not result.ended_for and not (result.result and result.result.turns)


def _prompt(workspace: Workspace, plan: Plan, session: Session, *, is_continued: bool) -> str:
    if session.resumes:
        return continuation(workspace.work_tree, workspace.instructions)
    instructions = plan.instructions
    text = prompt(workspace.instructions, instructions.main, instructions.main_text, instructions.others)
    return f"{text}\n{LOST_CONVERSATION}" if is_continued else text
