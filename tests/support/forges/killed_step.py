"""A run whose branch is pushed, and whose step `pull_request` is killed as often as a test likes."""

import os
import re
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from prefect.logging import disable_run_logger
from pydantic import SecretStr

from deployments.local.git_remote import GitRemote
from deployments.local.loopback import Exchange, ReceivedRequest
from flows.certificates import git_server_certificates
from flows.forges.api.client import Answer, ApiClient
from flows.repository.clone import Checkout
from flows.repository.collect import Change
from flows.repository.credentials import GitCredentials
from flows.run.run import Run
from flows.sandbox.workspace import workspace
from flows.state.verifications import Round, Verifications
from flows.tasks import pull_request as step
from flows.verification.results import CommandResult, Verdict, Verification
from tests.support.finished_run import commit, open_run
from tests.support.forges.azure import ADA
from tests.support.forges.fixtures import parameters_for
from tests.support.forges.stand_in import EMAIL, TOKEN, ForgeStandIn, StoredPullRequest

PERSON: Final = "The words of a person @ada"
_REVIEWERS: Final = {"azure": ADA, "bitbucket": "{ada}"}
_SUCCESS: Final = {"success", "succeeded", "SUCCESSFUL"}
_CREATION: Final = re.compile(r"/(pulls|merge_requests|pullrequests)(\?.*)?")


class Moment(StrEnum):
    """When a process is killed, seen from one of its writes to the forge."""

    BEFORE_EFFECT = "before its effect"
    BEFORE_ANSWER = "before its answer"
    AFTER_ANSWER = "after its answer"


@dataclass
class KilledStep:
    """A forge, and a run on it. Each attempt of the run's step is a process of its own."""

    forge: ForgeStandIn
    run: Run
    change: Change
    earlier: list[StoredPullRequest] = field(default_factory=list)
    """The pull requests that the forge has before the run."""

    def begin(self) -> None:
        """Begin with another run, of which the forge knows nothing."""
        self.forge.pull_requests = deepcopy(self.earlier)
        self.forge.statuses.clear()
        self.forge.requests.clear()
        self.run.saved.store = replace(self.run.saved.store, flow_run_id=str(uuid4()))

    def go_on_later(self) -> None:
        """Let a person write a text and remove labels and reviewers; what follows are later runs on the branch."""
        [opened] = self.earlier = self.forge.pull_requests
        opened.body += f"\n\n{PERSON}"
        opened.labels, opened.reviewers = [], []

    def attempt(self, number: int = 0, moment: Moment | None = None, *, seconds: float = 0) -> int:
        """Execute the step in a process, and return its exit status.

        Args:
            number: Which write of the process the moment is about.
            moment: When the process is killed; None to let it live.
            seconds: After how many seconds the process is killed; 0 to let it live.
        """
        threads, writes = set(threading.enumerate()), len(self.writes())

        def kill(now: str) -> None:
            if (len(self.writes()) - writes, now, moment) == (number, "before", Moment.BEFORE_EFFECT):
                os.kill(pid, signal.SIGKILL)
                raise ConnectionAbortedError
            if (len(self.writes()) - writes, now, moment) == (number, "after", Moment.BEFORE_ANSWER):
                os.kill(pid, signal.SIGKILL)

        self.forge.on_write = kill
        with self.process(number if moment is Moment.AFTER_ANSWER else 0) as pid:
            if seconds:
                time.sleep(seconds)
                os.kill(pid, signal.SIGKILL)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        while set(threading.enumerate()) - threads:  # until the forge has handled each request of the process
            time.sleep(0.001)
        return status

    @contextmanager
    def process(self, last_answer: int = 0) -> Iterator[int]:
        """Start a process that executes the step when the context begins; yield its id.

        Args:
            last_answer: The number of the write whose answer ends the process; 0 to let it live.
        """
        start, go = os.pipe()
        pid = os.fork()
        if not pid:
            os.read(start, 1)
            self._execute(last_answer)
        os.write(go, b"x")
        yield pid
        os.close(go)
        os.close(start)

    def _execute(self, last_answer: int) -> None:
        send, answers = ApiClient.send, 0

        def send_and_die(client: ApiClient, method: str, path: str, **options: Any) -> Answer:  # noqa: ANN401 (of any type)
            nonlocal answers
            answer = send(client, method, path, **options)
            answers += method != "GET"
            if method != "GET" and answers == last_answer:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        try:
            vars(step)["newest_credentials"] = lambda _run, credentials: credentials  # there is no AWS
            ApiClient.send = send_and_die  # type: ignore[method-assign, assignment]
            self.run.saved.store = replace(self.run.saved.store, attempt=str(os.getpid()))
            self.run.saved.store.take_lease()
            step.pull_request.fn(self.run, GitCredentials(SecretStr(TOKEN), EMAIL), self.change)
            os._exit(0)
        except BaseException:  # noqa: BLE001 (a fork must not go on as pytest)
            traceback.print_exc()
        finally:
            os._exit(1)

    def check(self, kills: int, context: object) -> None:
        """Check what the forge has after the last attempt, and what it was asked for."""
        forge, run_id, is_later = self.forge, self.run.saved.store.flow_run_id, bool(self.earlier)
        [opened] = forge.pull_requests
        body = opened.body.replace("\r\n", "\n")
        shown = (opened.title, opened.head, opened.base, opened.is_draft, opened.state)
        assert shown == ("The agent's title", "work", "main", False, "open"), context
        assert body.count("claude-code-headless:begin") == 1, context
        assert f"run={run_id} head={self.change.commit}" in body, context
        assert "- `npm test`: passed, exit status 0" in body, context
        assert body.endswith(PERSON) is is_later, context
        assert set(opened.labels) == (set() if forge.name == "bitbucket" else {"bot"}), context
        assert set(opened.reviewers) == {{"gitlab": "11"}.get(forge.name, _reviewer(forge))}, context
        assert forge.statuses[-1]["state"] in _SUCCESS, context
        assert {each["sha"] for each in forge.statuses} == {self.change.commit}, context
        assert max(self.wishes().values()) <= 1 + kills, context
        assert len(self.creations()) <= (0 if is_later else 1 + kills), context
        forge.check_contract()

    def writes(self) -> list[ReceivedRequest]:
        """Return the log of the writes to the API of the forge."""
        return [each for each in self.forge.writes() if not each.path.startswith(self.forge.repository)]

    def creations(self) -> list[ReceivedRequest]:
        """Return the requests to open a pull request."""
        return [each for each in self.writes() if is_creation(each)]

    def wishes(self) -> dict[str, int]:
        """Return how often labels and reviews were asked for."""
        patterns = {
            "labels": r'^\{"(labels|add_labels|name)":',
            "reviews": r'"(team_reviewers|reviewer_ids|vote)":|"reviewers":\[\{',
        }
        bodies = [write.body.decode() for write in self.writes()]
        return {name: sum(bool(re.search(pattern, body)) for body in bodies) for name, pattern in patterns.items()}


def is_creation(request: ReceivedRequest) -> bool:
    """Whether a request opens a pull request."""
    return request.method == "POST" and bool(_CREATION.fullmatch(request.path[request.path.rindex("/") :]))


@contextmanager
def killed_step(kind: type[ForgeStandIn], folder: Path) -> Iterator[KilledStep]:
    """Serve a forge with a repository, and open a run that has pushed a verified change to it."""
    git_server_certificates()  # which otherwise each process would load
    git = GitRemote(folder, TOKEN)
    (folder / "files").mkdir()
    (folder / "files" / "README.md").write_text("# A repository\n")
    git.create("widgets", folder / "files")

    def answer_git(path: str, request: ReceivedRequest, exchange: Exchange) -> None:
        git.answer(replace(request, path=f"/widgets.git{path}"), exchange)

    with kind() as forge, workspace() as directories, disable_run_logger():
        forge.answer_git = answer_git
        checkout = Checkout("work", "main", commit(directories, "First"), verify_commands="npm test")
        change = Change(commit(directories, hello="hello"), checkout)
        wishes: dict[str, Any] = {"pull_request_labels": ("bot",), "reviewers": (_reviewer(forge),)}
        run = open_run(directories, folder / "store", checkout, **parameters_for(forge, **wishes))
        result = CommandResult("npm test", Verdict.PASSED, 0, 2.0)
        run.saved.verifications = Verifications(
            (Round(0, ("npm test",), change.commit, Verification("tree", (result,))),)
        )
        yield KilledStep(forge, run, change)


def _reviewer(forge: ForgeStandIn) -> str:
    return _REVIEWERS.get(forge.name, "ada")
