"""Claude Code with a scripted model, a gateway and directories of a run, but without Prefect, AWS and a git remote."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

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
from tests.support.commits import git

_KEY = "the-api-key"


class AgentAlone:
    """An agent in new directories, and its model."""

    def __init__(self, directories: Workspace, model: ScriptedModel) -> None:
        self.workspace = directories
        self.model = model
        options = ClaudeCodeOptions(provider="anthropic")
        provider = Anthropic(SecretStr(_KEY), DEFAULT_MODEL_IDS["anthropic"], model.url)
        self.agent = Agent(options, provider)
        checkout = Checkout("new", "main", _empty_commit(directories.clean_git))
        instructions = Instructions("inline", (), "", "")
        self._plan = Plan("https://example.com/a/b", checkout, instructions, datetime(2026, 1, 1, tzinfo=UTC))

    def work(self, *turns: Turn) -> AgentRun:
        """Start Claude Code, as one execution of the step `claude` does."""
        self.model.script = Script(turns)
        return self.agent.work(
            self.workspace,
            self._plan,
            ChangePolicy(),
            "a-run",
            _observer,
            logging.getLogger("agent"),
            is_continued=False,
        )


@contextmanager
def agent_alone() -> Iterator[AgentAlone]:
    """Yield an agent. At the end, its processes are killed and its directories are removed."""
    with ScriptedModel(_KEY, "AKID", "secret") as model, workspace() as directories:
        yield AgentAlone(directories, model)


def _empty_commit(repository: Path) -> str:
    """Create a bare repository with a commit that has no files; return the commit."""
    repository.mkdir()
    git(repository, "init", "--quiet", "--bare")
    return git(repository, "commit-tree", git(repository, "hash-object", "-t", "tree", "-w", os.devnull), "-m", "x")


@contextmanager
def _observer() -> Iterator[Callable[[Event], None]]:
    yield lambda _: None
