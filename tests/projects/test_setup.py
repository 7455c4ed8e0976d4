"""Real projects in the full image: their setup, the cache of it, and an agent that runs their tests."""

import re
import sys
import uuid
from pathlib import Path

import pytest

from deployments.local.scripted_model import Tool, Turn
from deployments.local.stack import LocalStack
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
    name = f"repo-{uuid.uuid4().hex[:8]}"
    return World(stack, name, stack.git.create(name, seed))


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_is_set_up_faster_with_its_cache_and_the_agent_can_run_its_tests(
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
    commands = f"({project.dependencies}) >dependencies.txt; ({project.test}) 2>&1 | tail -c 20000 >result.txt"
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
