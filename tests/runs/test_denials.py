"""What the agent may write, and what a run says if it was denied something, with the real Claude Code."""

from collections.abc import Callable
from typing import Any

import pytest

from deployments.local.scripted_model import Tool, Turn
from flows import errors
from tests.support.combinations import combinations, some
from tests.support.marks import needs_root
from tests.support.runs import Run
from tests.support.world import World

PROTECTED = (
    ".pre-commit-config.yaml",
    ".devcontainer/devcontainer.json",
    ".vscode/settings.json",
    ".idea/workspace.xml",
    ".npmrc",
    ".husky/pre-commit",
    ".gitmodules.md",
    ".bashrc",
    ".ripgreprc",
    ".yarnrc.yml",
)


def write(path: str) -> Tool:
    return Tool("Write", {"file_path": path if path.startswith("/") else f"{{cwd}}/{path}", "content": "x\n"})


def rules(**permissions: Any) -> dict[str, Any]:  # noqa: ANN401 (Claude Code's settings)
    return {"permissions": {"allow": ["Bash(*)"], **permissions}}


@needs_root
def test_behind_the_isolation_the_defaults_let_the_agent_write_its_whole_work_tree(
    world: World, run: Callable[..., Run]
) -> None:
    world.script(*(Turn("I write.", (write(path),)) for path in PROTECTED), Turn("Done."))
    delivery = run().delivered()
    assert set(delivery.files) == set(PROTECTED)


@needs_root
@pytest.mark.parametrize("denied", ["Edit(secret/**)", "Edit(**/a.txt)", "Edit(./secret/a.txt)"])
def test_a_rule_that_denies_a_tool_still_holds(world: World, run: Callable[..., Run], denied: str) -> None:
    world.script(Turn("I write.", (write("secret/a.txt"),)), Turn("No.", (write("b.txt"),)), Turn("Done."))
    flow_run = run(claude_settings=rules(deny=[denied]))
    assert flow_run.delivered().files == ("b.txt",)
    assert "denied access to secret/a.txt" in str(flow_run.state.message)
    assert "remove that rule" in flow_run.artifact()


@pytest.mark.parametrize(
    ("mode", "path"),
    combinations(["acceptEdits", "plan", "dontAsk", "default"], [".npmrc", ".vscode/settings.json", ".husky/pre-push"]),
)
def test_a_denied_file_of_the_work_tree_is_in_the_state_and_the_advice_helps(
    world: World, run: Callable[..., Run], mode: str, path: str
) -> None:
    turns = (Turn("I write.", (write(path),)), Turn("Done."))
    world.script(*turns)
    denied_run = run(claude_settings=rules(defaultMode=mode))
    assert type(denied_run.error) is errors.AgentDenied
    assert f"denied Write for {path}" in str(denied_run.error)
    advice = 'set claude_settings.permissions.defaultMode="bypassPermissions"'
    assert advice in str(denied_run.error)
    world.script(*turns)
    assert run(claude_settings=rules(defaultMode="bypassPermissions")).delivered().files == (path,)


def test_a_change_without_a_denied_file_names_it_in_state_and_report(world: World, run: Callable[..., Run]) -> None:
    world.script(Turn("I write.", (write("a.txt"), write(".npmrc"))), Turn("Done."))
    flow_run = run(claude_settings=rules(defaultMode="acceptEdits"))
    assert flow_run.delivered().files == ("a.txt",)
    assert "denied access to .npmrc" in str(flow_run.state.message)
    assert "bypassPermissions" in flow_run.artifact()


def test_a_file_that_the_agent_wrote_in_another_way_is_not_named(world: World, run: Callable[..., Run]) -> None:
    shell = Tool("Bash", {"command": 'python3 -c \'open(".npmrc", "w").write("x")\''})
    world.script(Turn("I write.", (write(".npmrc"),)), Turn("By the shell.", (shell,)), Turn("Done."))
    flow_run = run(claude_settings=rules(defaultMode="acceptEdits"))
    assert flow_run.delivered().files == (".npmrc",)
    assert "denied" not in str(flow_run.state.message)


@pytest.mark.parametrize("outside", some(["/etc/notes.txt", "{cwd}/../notes.txt"], ["/opt/notes.txt"]))
def test_a_denial_outside_the_work_tree_is_only_a_note(world: World, run: Callable[..., Run], outside: str) -> None:
    world.script(Turn("I write.", (Tool("Write", {"file_path": outside, "content": "x"}),)), Turn("It is all there."))
    flow_run = run(claude_settings=rules(defaultMode="acceptEdits"))
    assert flow_run.state.name == "NoChanges"
    assert "`Write` × 1" in flow_run.artifact()  # noqa: RUF001


@pytest.mark.parametrize(
    "words", ["I could not write it.", "The permission to write /etc/hosts was denied.", "I am not able to go on."]
)
def test_a_denial_that_the_agent_names_as_its_obstacle_is_no_success(
    world: World, run: Callable[..., Run], words: str
) -> None:
    world.script(Turn("I write.", (write("/opt/notes.txt"),)), Turn(words))
    denied_run = run(claude_settings=rules(defaultMode="acceptEdits"))
    assert type(denied_run.error) is errors.AgentDenied


@pytest.mark.parametrize(
    "words",
    [
        "Two databases are possible. Which one shall I use?",
        "There are two ways:\n\n- a\n- b\n\nPlease tell me which to take.",
        "Welche Datenbank soll ich nehmen?",
        "Shall I delete the old API?\n\n1. Yes\n2. No",
    ],
)
def test_a_question_is_no_success_and_is_in_state_report_and_event(
    world: World, run: Callable[..., Run], words: str
) -> None:
    world.script(Turn(words))
    asking_run = run()
    assert type(asking_run.error) is errors.NeedsInput
    last = words.rsplit("\n", maxsplit=1)[-1]
    assert last in str(asking_run.state.message)
    assert last.lstrip("-12. ") in asking_run.artifact()


def test_a_change_that_ends_with_a_question_is_delivered(world: World, run: Callable[..., Run]) -> None:
    world.script(Turn("I write.", (write("a.txt"),)), Turn("Shall I also write tests?"))
    assert run().delivered().files == ("a.txt",)
