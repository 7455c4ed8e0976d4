"""Runs the whole flow with local servers. Shows each step while it runs, and the results at the end."""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from deployments.local import scripts
from deployments.local.forge import LocalForge
from deployments.local.forge_reviews import REVIEWER
from deployments.local.git_remote import check_source
from deployments.local.local_run import LocalRun
from deployments.local.served import DemoFailed, Server, run, served
from deployments.local.stack import GIT_EMAIL, GIT_TOKEN, LocalStack, local_stack
from flows.reporting.terminal import Progress, progress

SAMPLE: Final = Path(__file__).parent / "sample"
_PROJECT: Final = Path(__file__).parents[2]
_SAMPLE_NAME: Final = "todo"
_COMMENT: Final = ("todo/api.py", "store.add(", "Strip the title before it is stored, please.")
_COMMENT_ON_OVERVIEW: Final = ("CODE_OVERVIEW.md", "lines.", "Add the date of the last commit at the end, please.")
"""What the reviewer comments on: the file, code on the line, and the text."""
_WIDTH: Final = 120
_STATUS: Final = "exit status: 0 completed, 1 failed, 2 wrong option, 130 interrupted by Ctrl-C"


@dataclass(frozen=True)
class Options:
    """The options of the demo's command line."""

    repo: str
    real_model: bool
    keep: bool
    as_json: bool


def main() -> int:
    """Parse the command line and run the demo; return the exit status."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__, epilog=_STATUS)
    parser.add_argument("--repo", default="", help="path or URL of a git repository; the demo works on a copy of it")
    parser.add_argument(
        "--model", choices=("scripted", "real"), default="scripted", help="the model that Claude Code uses"
    )
    parser.add_argument("--keep", action="store_true", help="keep the servers running until you press Enter")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON, everything else to stderr")
    arguments = parser.parse_args()
    stream = sys.stderr if arguments.json else sys.stdout
    console = Console(file=stream, highlight=False, width=None if stream.isatty() else _WIDTH)
    try:
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
        options = Options(arguments.repo, arguments.model == "real", arguments.keep, arguments.json)
        return demo(options, console)
    except DemoFailed as error:
        console.print(Text(str(error), "red"), soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted: the agent and all servers were stopped")
        return 130


def demo(options: Options, console: Console) -> int:
    """Start the local stack, run the deployment as a user would, and show the results; return the exit status."""
    provider = model_provider(options)
    check_repository(options.repo)
    with ExitStack() as contexts:
        with progress(console) as rows:
            rows.update("stack", "S3, Secrets Manager, git host, model, Prefect")
            stack = contexts.enter_context(local_stack())
            forge = contexts.enter_context(LocalForge(stack.git))
            rows.complete("stack", f"Prefect UI {stack.prefect_api_url.removesuffix('/api')}")
            name, parameters = prepare(stack, forge, options)
            rows.complete("instructions", parameters["instructions_s3_uri"])
            rows.update("deployment", "implement/local, served by a separate process")
            environment = run_environment(stack, options)
            server = contexts.enter_context(served(environment, rows))
            rows.complete("deployment")
            rows.begin("run")
            run_id, succeeded = run(
                environment,
                server,
                lambda run_id: follow(LocalRun(stack, forge, name, run_id), rows),
                provider=provider,
                **parameters,
            )
            if succeeded:
                rows.complete("run")
        local_run = LocalRun(stack, forge, name, run_id)
        local_run.show(console)
        if succeeded and forge.pull_requests:
            succeeded = follow_up(local_run, environment, server, console)
        if options.as_json:
            print(json.dumps(local_run.summary()), flush=True)
        if options.keep:
            keep(local_run, console)
        else:
            console.print("The demo's servers have stopped, so the addresses and paths above no longer work.")
            console.print("make demo KEEP=1 keeps them running, so that you can look at the run in Prefect's UI.")
        return 0 if succeeded else 1


def follow_up(local_run: LocalRun, environment: dict[str, str], server: Server, console: Console) -> bool:
    """Let a reviewer comment on the pull request, and follow up on it; show the results, and return whether it did."""
    forge, [request] = local_run.forge, local_run.forge.pull_requests
    path, code, text = _COMMENT if local_run.repository == _SAMPLE_NAME else _COMMENT_ON_OVERVIEW
    lines = local_run.stack.git.git(request.repository, "show", f"{request.head}:{path}").splitlines()
    line = next((number for number, each in enumerate(lines, 1) if code in each), 1)
    forge.reviews.say(request.repository, request.number, text, path, line)
    console.rule(f"{REVIEWER} comments on {path}:{line}")
    console.print(Text(text))
    with progress(console) as rows:
        rows.update("run", "follow_up/local")

        def watch(run_id: str) -> None:
            server.rows = rows  # not before: the last line of the first run may come late
            follow(replace(local_run, flow_run_id=run_id), rows)

        run_id, succeeded = run(
            environment,
            server,
            watch,
            "follow_up/local",
            pull_request_url=forge.page_url(request),
            forge="gitea",
        )
        if succeeded:
            rows.complete("run")
    replace(local_run, flow_run_id=run_id).show_follow_up(console)
    return succeeded


def keep(local_run: LocalRun, console: Console) -> None:
    """Keep the local servers running until the user presses Enter; return at once if standard input is closed."""
    console.print(f"The run in Prefect's UI: {local_run.url}", soft_wrap=True)
    console.print(
        "There you can start more runs, with the form of the deployment implement/local. The scripted model knows only "
        "the instructions of this demo; for other instructions it only writes a file that says so."
    )
    try:
        console.input("Press Enter to stop the servers. ")
    except (EOFError, OSError, RuntimeError, ValueError):  # standard input is empty, or closed
        console.print("there is no terminal to press Enter in: the servers stop now")


def model_provider(options: Options) -> str:
    """Return the model provider that the run uses. The scripted model has the APIs of both providers."""
    if options.real_model and os.environ.get("ANTHROPIC_API_KEY"):
        return "anthropic"
    if not options.real_model or os.environ.get("AWS_ACCESS_KEY_ID") or os.environ.get("AWS_PROFILE"):
        return "bedrock"
    raise DemoFailed("MODEL=real needs ANTHROPIC_API_KEY, or AWS credentials for Bedrock, in the environment")


def prepare(stack: LocalStack, forge: LocalForge, options: Options) -> tuple[str, dict[str, Any]]:
    """Create the repository, store the git secret, and upload the instructions.

    Return the repository's name and the run's parameters.
    """
    name = repository(stack, options.repo)
    url = forge.repo_url(name)
    stack.put_secret(json.dumps({"token": GIT_TOKEN, "email": GIT_EMAIL, "repositories": [url]}))
    folder, script = ("overview", scripts.overview()) if options.repo else ("instructions", scripts.todo_api())
    stack.model.script, stack.model.script_for_other_instructions = script, scripts.unknown_instructions()
    return name, {
        "repo_url": url,
        "instructions_s3_uri": stack.upload(SAMPLE / folder, name),
        "forge": "gitea",
        "pull_request": {"pull_request": "ready"},
    }


def check_repository(source: str) -> None:
    """Raise `DemoFailed` if the user's repository cannot be cloned. The demo checks this before it starts a server."""
    if source:
        with cloneable(source):
            check_source(address(source))


def repository(stack: LocalStack, source: str) -> str:
    """Create a repository on the local git server, and return its name.

    It is a copy of the user's repository `source`, or of the sample repository if `source` is empty.
    """
    if not source:
        stack.git.create(_SAMPLE_NAME, SAMPLE / "repository")
        return _SAMPLE_NAME
    name = re.sub(r"[^\w.-]", "-", Path(source.rstrip("/")).resolve().name.removesuffix(".git"))
    with cloneable(source):
        stack.git.copy(name, address(source))
    return name


def address(source: str) -> str:
    """Return the path or URL of a repository in a form that git understands in any working directory."""
    return source if "://" in source else str(Path(source).resolve())


@contextmanager
def cloneable(source: str) -> Iterator[None]:
    """Convert an error of git in this context into a `DemoFailed` that names the repository."""
    try:
        yield
    except RuntimeError as error:
        raise DemoFailed(f"REPO={source} cannot be cloned: {error}") from None


def run_environment(stack: LocalStack, options: Options) -> dict[str, str]:
    """Return the environment variables of the process that serves the deployment."""
    (stack.home / "tmp").mkdir(mode=0o711)
    return {
        **os.environ,
        **stack.environment(real_model=options.real_model),
        "PYTHONPATH": str(_PROJECT),
        # In a shared TMPDIR, Prefect's own directory would belong to the first user who ran Prefect.
        "TMPDIR": str(stack.home / "tmp"),
    }


def follow(local_run: LocalRun, rows: Progress) -> None:
    """Show on the terminal which of the run's steps have begun and which are complete."""
    for step, task_run in local_run.steps():
        (rows.complete if task_run["state"]["type"] == "COMPLETED" else rows.begin)(step)


if __name__ == "__main__":
    sys.exit(main())
