"""What to do after a run: how to go on with its branch, to deliver what it kept, or to run again. Pure."""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Final

from flows.outcome.summary import RunSummary
from flows.parameters.change_policy import ChangePolicy
from flows.reporting.markdown import code, fenced
from flows.state.files import StateFile

_NAMED: Final = re.compile(r"\bpolicy\.(allow_(?!secrets)\w+)")
"""What an error's message says could be allowed."""


def advice(summary: RunSummary) -> Iterator[str]:
    """Yield what a person can do now, in Markdown."""
    if summary.error:
        yield from _recovery(summary)
    elif summary.commit:
        yield "Review the branch as you would a stranger's. To go on with it, run again with the same branch:"
        yield fenced(_run(summary, branch_name=_branch(summary)).replace(" -p ", " \\\n  -p "), "sh")
    else:
        yield (
            "The files are as the agent found them. If there was something to do, say in the instructions what is to "
            "be different at the end, and run again:"
        )
        yield fenced(_run(summary).replace(" -p ", " \\\n  -p "), "sh")


def _recovery(summary: RunSummary) -> Iterator[str]:
    allowed = {name: True for name in _NAMED.findall(str(summary.error)) if name in ChangePolicy.model_fields}
    if where := summary.saved_files.get(StateFile.BUNDLE):
        see = code(fetch(where, _branch(summary)))
        yield f"- The agent's work is kept, and not pushed. To see it, in a clone: {see}"
        policy = {"policy": json.dumps(allowed)} if allowed else {}
        deliver = code(_command("deliver", summary, flow_run_id=summary.flow_run_id, **policy))
        mended = "" if summary.is_interrupted else ", once what is said above is mended or allowed"
        yield f"- To push it without an agent{mended}: {deliver}"
    if StateFile.PLAN in summary.saved_files and not allowed:  # with the same parameters a policy stops it again
        yield (
            "- *Retry* on this run's page goes on where it stopped, from the last checkpoint and with the rest of its "
            "limits; what was finished is not paid again."
        )
    corrected = "" if summary.is_interrupted else ", with what was wrong corrected"
    yield f"- To begin anew{corrected}: {code(_run(summary))}"


def fetch(where: str, branch: str) -> str:
    """Return the command that shows a branch of a repository, or of a bundle, in any clone."""
    return f"git fetch {shlex.quote(where)} {shlex.quote(branch)} && git show FETCH_HEAD"


def _run(summary: RunSummary, **parameters: str) -> str:
    url = summary.repo_url.url if summary.repo_url else "https://…"
    source = summary.instructions.source if summary.instructions else ""
    uri = source if source.startswith("s3://") else "s3://bucket/folder/*"
    return _command("implement", summary, repo_url=url, instructions_s3_uri=uri, **parameters)


def _command(flow: str, summary: RunSummary, **parameters: str) -> str:
    given = " ".join(f"-p {shlex.quote(f'{name}={value}')}" for name, value in parameters.items())
    deployment = shlex.quote(f"{flow}/{summary.deployment or 'local'}")
    return f"prefect deployment run {deployment} {given}"


def _branch(summary: RunSummary) -> str:
    return summary.checkout.branch if summary.checkout else ""
