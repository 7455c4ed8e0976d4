"""`make demo`: the whole job, done for real on the local stack, a line for each stage, and the result at the end."""

import argparse
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from rich.markdown import Markdown
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table

from deployments.local import scripts
from deployments.local.served import DemoFailed, console, run, served
from deployments.local.stack import LocalStack, local_stack
from flows.report import REPORT

_SAMPLE: Final = Path(__file__).parent / "sample"
_PROJECT: Final = Path(__file__).parents[2]
_RUN_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SERVE_SECONDS: Final = 60


@dataclass(frozen=True)
class Options:
    """What the person asked for."""

    repo: str
    real_model: bool
    keep: bool


def main() -> int:
    """Run the demo; return the exit status."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--repo", default="", help="path or URL of a git repository to work on a copy of")
    parser.add_argument("--model", choices=("scripted", "real"), default="scripted")
    parser.add_argument("--keep", action="store_true", help="keep the Prefect UI up at the end, until Enter")
    given = parser.parse_args()
    try:
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
        return demo(Options(given.repo, given.model == "real", given.keep))
    except DemoFailed as error:
        console.print(f"[red]{error}")
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; everything was ended")
        return 130


def demo(options: Options) -> int:
    """Start the stack, run the deployment as a user would, and show what came of it."""
    if not options.real_model:
        provider = "bedrock"
    elif os.environ.get("ANTHROPIC_API_KEY"):
        provider = "anthropic"
    elif os.environ.get("AWS_ACCESS_KEY_ID") or os.environ.get("AWS_PROFILE"):
        provider = "bedrock"
    else:
        raise DemoFailed("MODEL=real needs ANTHROPIC_API_KEY, or AWS credentials for Bedrock, in the environment")
    with stage("local stack: S3, Secrets Manager, git remote, model, Prefect") as note, local_stack() as stack:
        note(f"Prefect UI {stack.prefect_api_url.removesuffix('/api')}")
        return on_stack(stack, options, provider)
    return 0


@contextmanager
def stage(title: str) -> Iterator[Any]:
    """Print a stage's beginning."""
    console.print(f"[bold]▸ {title}[/bold]")
    yield lambda text: console.print(f"  {escape(text)}", soft_wrap=True)


def on_stack(stack: LocalStack, options: Options, provider: str) -> int:
    """Prepare, run, show."""
    with stage("repository and instructions") as note:
        name, url = repository(stack, options.repo)
        folder, script = ("overview", scripts.overview()) if options.repo else ("instructions", scripts.todo_api())
        stack.model.script = script
        uri = stack.upload(_SAMPLE / folder, name)
        note(f"{url} (behind a token that only AWS Secrets Manager and the flow know)")
        note(uri)
    (stack.home / "tmp").mkdir(mode=0o711)
    environment = {
        **os.environ,
        **stack.environment(real_model=options.real_model),
        "PYTHONPATH": str(_PROJECT),
        # Prefect keeps a directory there that belongs to whoever came first.
        "TMPDIR": str(stack.home / "tmp"),
    }
    with served(environment) as server:
        with stage("prefect deployment run implement/local"):
            run_id, succeeded = run(environment, server, repo_url=url, instructions_s3_uri=uri, provider=provider)
        show(stack, name, run_id)
        if options.keep:
            console.input("The Prefect UI is up at the address above. Enter ends it.")
    return 0 if succeeded else 1


def repository(stack: LocalStack, source: str) -> tuple[str, str]:
    """Return the name and URL on the local git remote: the sample, or a copy of the person's."""
    if not source:
        return "todo", stack.git.create("todo", _SAMPLE / "repository")
    name = re.sub(r"[^\w.-]", "-", Path(source.rstrip("/")).resolve().name.removesuffix(".git"))
    try:
        return name, stack.git.copy(name, source if "://" in source else str(Path(source).resolve()))
    except RuntimeError as error:
        raise DemoFailed(f"REPO={source} cannot be cloned: {error}") from None


def show(stack: LocalStack, name: str, run_id: str) -> None:
    """Print what a user would look up: the report, the branch and its diff, and where the time went."""
    api = httpx.Client(base_url=stack.prefect_api_url, trust_env=False)
    flow_run = api.get(f"/flow_runs/{run_id}").json()
    mine = {"flow_runs": {"id": {"any_": [run_id]}}}
    found = api.post("/artifacts/filter", json=mine).json()
    reports = [made for made in found if made["description"] == REPORT]
    console.rule(f"[bold]{flow_run['state']['name']}[/bold] {flow_run['name']}")
    for report in reports:
        console.print(Markdown(report["data"].partition("## Diff")[0]))
    branch = flow_run["name"].partition(" @ ")[2]
    if branch in stack.git.git(name, "branch", "--format=%(refname:short)").splitlines():
        console.rule(f"git show {branch}")
        console.print(
            Syntax(stack.git.git(name, "show", "--format=fuller", "--stat", "--patch", branch), "diff", word_wrap=True)
        )
    console.print(step_times(api.post("/task_runs/filter", json=mine).json(), flow_run))
    ui = stack.prefect_api_url.removesuffix("/api")
    console.print(f"Prefect UI of the run: {ui}/runs/flow-run/{run_id}", soft_wrap=True)


def step_times(task_runs: list[dict[str, Any]], flow_run: dict[str, Any]) -> Table:
    """Return the table of steps."""
    table = Table("step", "state", "seconds", "attempts")
    for task_run in sorted(task_runs, key=lambda one: str(one["start_time"])):
        step = re.sub(r"-\w{3}$", "", task_run["name"])
        table.add_row(step, task_run["state"]["name"], f"{task_run['total_run_time']:.1f}", str(task_run["run_count"]))
    table.add_row("whole run", flow_run["state"]["name"], f"{flow_run['total_run_time']:.1f}", "")
    return table


if __name__ == "__main__":
    sys.exit(main())
