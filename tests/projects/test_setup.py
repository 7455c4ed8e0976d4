"""Real projects in the full image: their setup, the cache of it, and a change that their tests verify."""

import logging
import re
import sys
import uuid
from pathlib import Path

import pytest
from prefect.filesystems import LocalFileSystem

from deployments.local.scripted_model import Tool, Turn
from deployments.local.stack import LocalStack
from flows.state.saved_run import SavedRun
from flows.state.store import RunStore
from flows.verification.results import Verification
from tests.image.test_image import variables
from tests.projects.projects import PROJECTS, Project
from tests.support.container_engine import Engine
from tests.support.world import World

pytestmark = [pytest.mark.image, pytest.mark.timeout(1800)]


def project_world(stack: LocalStack, folder: Path, project: Project) -> World:
    """Serve a repository with the project's files."""
    seed = folder / "seed"
    seed.mkdir()
    project.fetch(seed)
    (seed / ".claude-code-headless.yaml").write_text(project.settings)
    for path, text in (project.source, project.failing_test):
        (seed / path).write_text(text)
    name = f"repo-{uuid.uuid4().hex[:8]}"
    return World(stack, name, stack.git.create(name, seed))


def verifications(store: Path) -> list[Verification]:
    """Return the verifications of the run in this store."""
    [folder] = [path.parent for path in store.glob("claude-code-headless/*/verification*")]
    saved = SavedRun(RunStore(LocalFileSystem(basepath=str(store)), folder.name, ()))
    saved.load(logging.getLogger(__name__))
    return [each.verification for each in saved.verifications.rounds]


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_is_set_up_faster_with_its_cache_and_a_change_to_it_is_verified(
    stack: LocalStack, tmp_path: Path, engine: Engine, name: str
) -> None:
    project = PROJECTS[name]
    world = project_world(stack, tmp_path, project)
    seconds = []
    for cache in ("saved", "restored"):
        with engine.container("python", "-m", "flows", "setup", environment=variables(world)) as container:
            status, output = container.wait_for_exit()
        assert status == 0, output
        assert re.search(rf"cache.* {cache}", output), output
        took = re.search(r"the setup took ([\d.]+) s", output)
        assert took, output
        seconds.append(float(took[1]))
    with engine.container("python", "-m", "flows", "verify", environment=variables(world)) as container:
        status, output = container.wait_for_exit()
    assert status == 1, "the added test fails before the change"
    assert re.search("^failed: ", output, re.MULTILINE), output
    repair = f"sed -i s/bye/hello/ {project.source[0]}"
    commands = (
        f"{repair}; ({project.dependencies}) >dependencies.txt; ({project.test}) 2>&1 | tail -c 20000 >result.txt"
    )
    turn = Turn("I test.", (Tool("Bash", {"command": commands}),))
    world.script(turn, Turn("Done."))
    with engine.container(environment={**variables(world), "BRANCH_NAME": "tested"}) as container:
        status, output = container.wait_for_exit()
    assert status == 0, output
    result = world.content("tested", "result.txt")
    dependencies = int(world.content("tested", "dependencies.txt"))
    tests = re.search(project.passed, result)
    assert tests, result
    sys.stdout.write(
        f"{name}: setup {seconds[0]:.1f} s, with its cache {seconds[1]:.1f} s, {dependencies} dependencies, "
        f"{tests[1]} tests\n"
    )
    assert dependencies >= 10
    assert int(tests[1]) >= 50
    [verification] = verifications(tmp_path / "store")
    assert str(verification.status) == "verified", verification
    [command] = verification.results
    verified = re.search(project.passed, command.output)
    assert verified, command.output
    assert verified[1] == tests[1], "the fresh checkout has the same tests as the agent's work tree"
    if command.tests:
        assert (command.tests.tests - command.tests.skipped, command.tests.failed) == (int(tests[1]), 0)
