"""The surroundings of one test's runs: a repository, instructions, and a script for the model."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deployments.local.scripted_model import Script, Tool, Turn
from deployments.local.stack import BUCKET, LocalStack


@dataclass
class World:
    """The stack, with a repository and instructions that only this test uses."""

    stack: LocalStack
    name: str
    repo_url: str

    def instructions(self, files: dict[str, bytes] | None = None) -> str:
        """Upload files under this test's prefix; return the prefix's URI, with a slash at its end."""
        for path, content in (files or {"main.md": b"# Say hello\n"}).items():
            self.stack.s3().put_object(Bucket=BUCKET, Key=f"{self.name}/{path}", Body=content)
        return f"s3://{BUCKET}/{self.name}/"

    def script(self, *turns: Turn) -> Script:
        """Set the model's turns; by default it writes a file and stops."""
        hello = Turn("I write.", (Tool("Write", {"file_path": "{cwd}/hello.txt", "content": "hello\n"}),))
        self.stack.model.requests.clear()
        self.stack.git.requests.clear()
        self.stack.model.script = Script(turns or (hello, Turn("Done.")))
        return self.stack.model.script

    def shell(self, command: str) -> Script:
        """Make the model run one shell command and stop."""
        return self.script(Turn("I run.", (Tool("Bash", {"command": command}),)), Turn("Done."))

    def git(self, *arguments: str) -> str:
        """Run git on this test's repository on the git server."""
        return self.stack.git.git(self.name, *arguments)

    def branches(self) -> set[str]:
        """Return the names of the branches on the git server."""
        return set(self.git("branch", "--format=%(refname:short)").splitlines())

    def content(self, branch: str, path: str) -> str:
        """Return the content of a file on a branch on the git server."""
        return self.git("show", f"{branch}:{path}")


def new_world(stack: LocalStack, folder: Path, files: Mapping[str, str]) -> World:
    """Serve a repository whose first commit has these files, with a model that writes hello.txt."""
    seed = folder / "seed"
    for path, content in files.items():
        (seed / path).parent.mkdir(parents=True, exist_ok=True)
        (seed / path).write_text(content)
    name = f"repo-{uuid.uuid4().hex[:8]}"
    world = World(stack, name, stack.git.create(name, seed))
    world.script()
    return world
