"""A hostile run and all evidence of it: who ran the markers, what reached the second server, and what was left."""

import gzip
import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest
from deployments.local.stack import AWS_ACCESS_KEY_ID
from flows.errors import RunError
from tests.support.runs import Run
from tests.support.sightings import SECRETS, holders, seen_in
from tests.support.world import World

PREFECT_KEY = f"local-prefect-key-{uuid.uuid4().hex[:8]}"
OTHER_SECRET = f"local-database-password-{uuid.uuid4().hex[:8]}"
ALL_SECRETS = (*SECRETS, PREFECT_KEY, OTHER_SECRET)
SHARED_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm", "/run")  # noqa: S108 (searched, not used)


class SecondServer(LoopbackServer):
    """The server that the plants point to. It answers every request; a credential that arrives here is lost."""

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        """Ask for a password on git's paths, as a thief would; accept every other request."""
        if "git-" in request.path and "authorization" not in request.headers:
            exchange.reply(401, b"", {"www-authenticate": 'Basic realm="git"'})
        else:
            exchange.reply(200, b"{}")

    def credential_requests(self) -> list[ReceivedRequest]:
        """Return the requests that carry a credential or ask for a model's reply."""
        return [
            request
            for request in self.requests
            if {"authorization", "x-api-key"} & request.headers.keys() or _holds(request)
        ]


def _holds(request: ReceivedRequest) -> bool:
    everything = f"{request.path}{request.headers}".encode() + request.body
    is_model = "/v1/messages" in request.path or "/model/" in request.path
    return is_model or bool(seen_in(everything, ALL_SECRETS))


@dataclass(frozen=True)
class Mark:
    """One execution of the marker."""

    plant: str
    uid: int
    text: bytes


@dataclass(frozen=True)
class Markers:
    """A program that every user can run. It records its user and environment in a folder open to every user."""

    folder: Path

    @property
    def program(self) -> Path:
        return self.folder / "bin" / "marker"

    def script(self, text: str, server: SecondServer) -> str:
        """Save a script for the agent; return the command that runs it.

        The script has the variables $M (the marker), $T (the second server's URL) and $D (a folder open to every user).
        """
        path = self.folder / "bin" / f"plant-{uuid.uuid4().hex[:6]}"
        names = f"M={self.program}\nT={server.url}\nD={self.folder}\nexport M T D\n"
        path.write_text(f'{names}"$M" control\n{text}\n', errors="surrogateescape")
        path.chmod(0o755)
        return f"bash {path}"

    def seen(self) -> list[Mark]:
        files = [path for path in self.folder.iterdir() if path.is_file() and path.name.count(".") == 2]
        return [Mark(p.name.split(".")[0], int(p.name.split(".")[1]), p.read_bytes()) for p in files]


@dataclass(frozen=True)
class Attack:
    """A finished hostile run and all evidence of it."""

    run: Run
    world: World
    second_server: SecondServer
    marks: list[Mark]
    argv: bytes
    output: bytes

    def events(self) -> list[dict[str, Any]]:
        """Return Claude Code's events from the saved transcript."""
        lines = gzip.decompress(self.run.saved_file("transcript.jsonl.gz").read_bytes()).splitlines()
        return [json.loads(line) for line in lines if line.startswith(b'{"type"')]

    def executed_plants(self) -> set[str]:
        """Return the plants that ran; `check_isolation` asserts that all ran as the agent's user."""
        return {mark.plant for mark in self.marks}

    def check_isolation(self) -> None:
        """Assert what must hold for every run, whatever its outcome."""
        [uid] = {mark.uid for mark in self.marks if mark.plant == "control"}
        assert {mark.plant for mark in self.marks if mark.uid != uid} == set(), "ran as another user than the agent's"
        assert self.sightings() == []
        assert self.second_server.credential_requests() == []
        assert self.model_requests_without_our_signature() == []
        self._check_nothing_left(uid)

    def sightings(self) -> list[str]:
        """Search for credentials in everything that this run left behind or showed."""
        streams = {"argv": self.argv, "log": self.output, "state": repr(self.run.state).encode()}
        streams |= {f"marker {mark.plant}": mark.text for mark in self.marks}
        streams |= {f"model request {n}": request.body for n, request in enumerate(self.world.stack.model.requests)}
        seen = [name for name, content in streams.items() if seen_in(content, ALL_SECRETS)]
        database = self.world.stack.home / "prefect-server"
        saved_files = self.run.saved_file("").rglob("*")
        return seen + holders(database.rglob("*"), ALL_SECRETS) + holders(saved_files, ALL_SECRETS) + self._pushed()

    def _pushed(self) -> list[str]:
        refs = [*self.world.git("for-each-ref", "--format=%(refname)", "refs/heads/feature").splitlines(), "main"]
        return [
            ref
            for ref in refs
            if seen_in(self.world.git("archive", ref).encode("utf-8", "surrogateescape"), ALL_SECRETS)
        ]

    def model_requests_without_our_signature(self) -> list[ReceivedRequest]:
        """Return the model requests that did not come through the gateway. Fail if the model was never asked."""
        gateway_signature = f"AWS4-HMAC-SHA256 Credential={AWS_ACCESS_KEY_ID}/"
        requests = self.world.stack.model.requests
        assert requests
        return [
            request
            for request in requests
            if not request.headers.get("authorization", "").startswith(gateway_signature)
            or "x-gateway-token" in request.headers
        ]

    def _check_nothing_left(self, uid: int) -> None:
        alive = [p for p in psutil.process_iter(["uids", "status"]) if uid in (p.info["uids"] or ())]
        assert [p for p in alive if p.info["status"] != psutil.STATUS_ZOMBIE] == []
        work_tree = Path(next(event["cwd"] for event in self.events() if event.get("subtype") == "init"))
        assert not work_tree.parents[1].exists()
        assert [path for folder in SHARED_FOLDERS for path in Path(folder).iterdir() if _owner(path) == uid] == []

    def check_delivered(self, files: set[str]) -> None:
        """Assert that exactly these files were pushed to a new branch, in one commit on top of main."""
        delivery = self.run.delivered()
        assert set(delivery.files) == files
        assert self.world.git("rev-parse", delivery.branch) == delivery.commit
        assert self.world.git("rev-parse", f"{delivery.commit}~1") == self.world.git("rev-parse", "main")
        assert self.world.branches() == {"main", delivery.branch}

    def check_refused(self, error: type[RunError]) -> None:
        """Assert that the run failed with this error, pushed nothing, and saved work that can be fetched."""
        assert type(self.run.error) is error, self.run.error
        assert self.world.branches() == {"main"}
        clone = self.world.stack.git.copy(
            f"{self.world.name}-clone", str(self.world.stack.git.root / f"{self.world.name}.git")
        )
        clone_name = clone.rpartition("/")[2].removesuffix(".git")
        git = self.world.stack.git.git
        git(clone_name, "fetch", "--quiet", str(self.run.saved_file("change.bundle")), "refs/heads/*:refs/heads/kept/*")
        [ref] = git(clone_name, "for-each-ref", "--format=%(refname)", "refs/heads/kept").splitlines()
        assert git(clone_name, "show", f"{ref}:hello.txt") == "hello"


def _owner(path: Path) -> int:
    try:
        return path.lstat().st_uid
    except OSError:
        return -1
