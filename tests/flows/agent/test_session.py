"""An agent's session: each process of Claude Code gets a new configuration folder and this machine's network."""

from collections.abc import Iterator

import pytest

from deployments.local.scripted_model import Tool, Turn
from tests.support.agent_alone import AgentAlone, agent_alone

PROXY = "http://127.0.0.1:9"
WRITES = Turn("I write.", (Tool("Bash", {"command": "echo $HTTPS_PROXY $USER $NO_PROXY > seen.txt"}),))


@pytest.fixture
def alone() -> Iterator[AgentAlone]:
    with agent_alone() as agent:
        yield agent


def test_the_agent_has_the_proxy_and_a_name_and_reaches_the_gateway_without_the_proxy(
    alone: AgentAlone, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, PROXY)
    monkeypatch.setenv("NO_PROXY", "example.com,127.0.0.1")
    result = alone.work(WRITES, Turn("Done."))
    assert result.result is not None, result.stderr
    seen = (alone.workspace.work_tree / "seen.txt").read_text()
    assert seen == f"{PROXY} {alone.workspace.account.name} example.com,127.0.0.1,localhost,::1\n"


def test_a_second_process_resumes_the_conversation_in_a_new_folder(alone: AgentAlone) -> None:
    alone.work(WRITES, Turn("Done."))
    first_folder, conversation = alone.workspace.claude_folder.stat().st_ino, alone.agent.conversation
    assert conversation.endswith(b"\n")
    assert alone.agent.read_conversation(alone.workspace) == conversation
    alone.work(WRITES, Turn("Done."), Turn("Done again."))
    assert alone.workspace.claude_folder.stat().st_ino != first_folder
    assert alone.agent.conversation.startswith(conversation)
    assert b"I write." in alone.model.requests[-1].body


def test_a_conversation_that_cannot_be_resumed_is_replaced_by_a_new_one(alone: AgentAlone) -> None:
    alone.agent.session_id, alone.agent.conversation = "5985dfbc-f6b7-43dc-be5d-80fab5decab3", b"no conversation\n"
    result = alone.work(Turn("Done."))
    assert result.result is not None, result.stderr
    assert alone.agent.session_id != "5985dfbc-f6b7-43dc-be5d-80fab5decab3"
    assert b"the conversation about it is lost" in alone.model.requests[-1].body


def test_an_mcp_server_that_does_not_start_is_a_warning_and_the_work_goes_on(
    alone: AgentAlone, caplog: pytest.LogCaptureFixture
) -> None:
    alone.agent.mcp_servers = {"words": {"type": "stdio", "command": "false"}}
    result = alone.work(Turn("Done."))
    assert result.result is not None, result.stderr
    assert alone.agent.warning == "the agent worked without the MCP servers that could not be used: words"
    assert alone.agent.warning in caplog.text
