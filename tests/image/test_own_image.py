"""An image of the user's own: built by the set-up commands' builder from the full image, and used by a real run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from deployments.aws.builder import CommandLineBuilder
from deployments.aws.image import check_configuration
from deployments.cli.errors import BuildFailed, InvalidImage
from tests.image.test_image import variables
from tests.support.container_engine import Engine
from tests.support.environment import REAL_HOME
from tests.support.world import World

pytestmark = [pytest.mark.image, pytest.mark.timeout(300)]

NAME: Final = "claude-code-headless-test-own"


@pytest.fixture
def builder(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLineBuilder]:
    """The builder for the engine. Its image is removed at the end."""
    monkeypatch.setenv("HOME", str(REAL_HOME))  # the engine finds its images there
    yield CommandLineBuilder(engine.program)
    engine.call("rmi", "--force", NAME)


def test_the_agent_can_use_the_tool_that_it_adds(
    builder: CommandLineBuilder, engine: Engine, world: World, tmp_path: Path
) -> None:
    dockerfile = tmp_path / "own.Dockerfile"
    (tmp_path / "greet").write_text("#!/bin/sh\necho greetings\n")
    (tmp_path / "greet").chmod(0o755)
    dockerfile.write_text(f"FROM {engine.image}\nCOPY greet /usr/local/bin/greet\nRUN greet\n")
    builder.build_from(dockerfile, NAME)
    check_configuration(dockerfile, builder.configuration(NAME))
    world.shell("greet > greeting.txt")
    environment = {**variables(world), "BRANCH_NAME": "own"}
    with engine.with_image(NAME).container(environment=environment, read_only=True) as container:
        status, output = container.wait_for_exit()
    assert status == 0, output
    assert world.content("own", "greeting.txt") == "greetings"


def test_another_user_and_a_failed_build_are_refused(
    builder: CommandLineBuilder, engine: Engine, tmp_path: Path
) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(f"FROM {engine.image}\nUSER nobody\n")
    builder.build_from(dockerfile, NAME)
    with pytest.raises(InvalidImage, match="sets USER nobody"):
        check_configuration(dockerfile, builder.configuration(NAME))
    dockerfile.write_text(f"FROM {engine.image}\nRUN exit 3\n")
    with pytest.raises(BuildFailed, match="failed with exit status"):
        builder.build_from(dockerfile, NAME)
    with pytest.raises(BuildFailed, match="does not show the image claude-code-headless-test-none"):
        builder.configuration("claude-code-headless-test-none")
