"""Claude Code with a scripted model, a gateway and directories of a run, but without Prefect, AWS and a git remote."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from pydantic import SecretStr

from deployments.local.scripted_model import Script, ScriptedModel, Turn
from flows.agent.event_types import Event
from flows.agent.outcome import AgentRun
from flows.agent.session import Agent
from flows.instructions.files import Instructions
from flows.model.providers import Anthropic
from flows.parameters.change_policy import ChangePolicy
from flows.parameters.claude_code import ClaudeCodeOptions
from flows.parameters.provider import DEFAULT_MODEL_IDS
from flows.repository.clone import Checkout
from flows.sandbox.workspace import Workspace, workspace
from flows.state.records import Plan

_KEY = "the-api-key"
_PLAN = Plan("https://example.com/a/b", Checkout("new", "main", "0" * 40, ""), Instructions("inline", (), "", ""),
             datetime(2026, 1, 1, tzinfo=UTC))  # fmt: skip


class AgentAlone:
    """An agent in new directories, and its model."""

    def __init__(self, directories: Workspace, model: ScriptedModel) -> None:
        self.workspace = directories
        self.model = model
        options = ClaudeCodeOptions(provider="anthropic")
        provider = Anthropic(SecretStr(_KEY), DEFAULT_MODEL_IDS["anthropic"], model.url)
        self.agent = Agent(options, provider)

    def work(self, *turns: Turn) -> AgentRun:
        """Start Claude Code, as one execution of the step `claude` does."""
        self.model.script = Script(turns)
        return self.agent.work(
            self.workspace, _PLAN, ChangePolicy(), "a-run", _observer, logging.getLogger("agent"), is_continued=False
        )


@contextmanager
def agent_alone() -> Iterator[AgentAlone]:
    """Yield an agent. At the end, its processes are killed and its directories are removed."""
    with ScriptedModel(_KEY, "AKID", "secret") as model, workspace() as directories:
        yield AgentAlone(directories, model)


@contextmanager
def _observer() -> Iterator[Callable[[Event], None]]:
    yield lambda _: None
