"""The LFS server's answers: which are used, which are refused, and who gets the token."""

import base64
import gzip
import hashlib
import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import SecretStr

from deployments.local.git_remote import GitFault, GitRemote
from deployments.local.lfs_storage import LfsStorage
from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest
from flows.errors import GitAuthFailed, LfsFailed, LfsObjectMissing, LfsUnavailable, RunError
from flows.parameters.addresses import RepoUrl
from flows.repository.credentials import GitCredentials
from flows.repository.lfs_pointers import Pointer
from flows.repository.lfs_server import Action, lfs_server
from flows.repository.remote import Remote
from tests.support.lfs_repository import CONTENT, NAME, TOKEN, LfsRepository, lfs_repository
from tests.support.tls import by_tls

POINTER = Pointer(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
NEW = b"a new object"
NEW_POINTER = Pointer(hashlib.sha256(NEW).hexdigest(), len(NEW))


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[LfsRepository]:
    with lfs_repository(tmp_path, {"a.bin": CONTENT}) as served:
        yield served


def download(repository: LfsRepository, folder: Path, pointer: Pointer = POINTER) -> bytes:
    target = folder / pointer.oid
    try:
        with lfs_server(repository.remote(folder)) as server:
            for path, actions in server.actions("download", {"a.bin": pointer}):
                server.download(path, pointer, actions["download"], target)
    except RunError:
        assert not target.exists()
        raise
    return target.read_bytes()


def upload(repository: LfsRepository, folder: Path, content: bytes = NEW) -> None:
    with lfs_server(repository.remote(folder)) as server:
        for path, actions in server.actions("upload", {"new.bin": NEW_POINTER}):
            server.upload(path, NEW_POINTER, actions, content)


def action(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the first action in an answer of the Batch API."""
    actions: dict[str, dict[str, Any]] = answer["objects"][0]["actions"]
    return next(iter(actions.values()))


def replying(
    status: int, body: bytes = b"{}", headers: dict[str, str] | None = None, path_holds: str = ""
) -> Callable[[ReceivedRequest, Exchange], bool]:
    """Return a function that answers requests for objects, so that the storage does not."""

    def respond(request: ReceivedRequest, exchange: Exchange) -> bool:
        if path_holds in request.path:
            exchange.reply(status, body, headers)
        return path_holds in request.path

    return respond


def test_an_object_comes_without_the_token(repository: LfsRepository, tmp_path: Path) -> None:
    assert download(repository, tmp_path) == CONTENT
    assert repository.servers_with_token() == {"git"}
    assert [request.path for request in repository.git.requests] == [f"/{NAME}.git/info/lfs/objects/batch"]
    upload(repository, tmp_path)
    assert repository.storage.objects[NAME, NEW_POINTER.oid] == NEW
    assert repository.servers_with_token() == {"git"}


ANSWERS: dict[str, tuple[Callable[[dict[str, Any]], object], type[RunError], str]] = {
    "gone": (lambda answer: answer["objects"][0].update(error={"code": 410, "message": "m"}), LfsObjectMissing, "410"),
    "busy": (lambda answer: answer["objects"][0].update(error={"code": 503, "message": "m"}), LfsUnavailable, "503"),
    "invalid": (lambda answer: answer["objects"][0].update(error={"code": 422, "message": "m"}), LfsFailed, "422: m"),
    "no-code": (lambda answer: answer["objects"][0].update(error={"message": "m"}), LfsFailed, "unreadable"),
    "infinite": (lambda answer: answer["objects"][0].update(error={"code": 1e999}), LfsFailed, "unreadable"),
    "error-text": (lambda answer: answer["objects"][0].update(error="broken"), LfsFailed, "unreadable"),
    "no-row": (lambda answer: answer["objects"].clear(), LfsFailed, "no answer about 'a.bin'"),
    "no-objects": (lambda answer: answer.pop("objects"), LfsFailed, "no answer in the form"),
    "other-transfer": (lambda answer: answer.update(transfer="multipart"), LfsFailed, "kind basic"),
    "no-href": (lambda answer: action(answer).pop("href"), LfsFailed, "unreadable"),
    "actions-list": (lambda answer: answer["objects"][0].update(actions=[1]), LfsFailed, "unreadable"),
    "not-a-url": (lambda answer: action(answer).update(href="http://[::1/x"), LfsFailed, "not a URL"),
    "not-a-name": (lambda answer: action(answer).update(href="http://a..b/x"), LfsFailed, "cannot be sent"),
    "long-name": (lambda answer: action(answer).update(href=f"http://{'a' * 64}.b/"), LfsFailed, "cannot be sent"),
    "file": (lambda answer: action(answer).update(href="file:///etc/passwd"), LfsFailed, "not https"),
    "user": (lambda answer: action(answer).update(href="https://u:p@127.0.0.1/x"), LfsFailed, "user name"),
    "metadata": (lambda answer: action(answer).update(href="http://169.254.169.254/x"), LfsFailed, "169.254.169.254"),
    "loopback": (lambda answer: action(answer).update(href="http://127.0.0.2:9/x"), LfsFailed, "its own machine"),
    "mapped": (lambda answer: action(answer).update(href="http://[::ffff:169.254.169.254]/"), LfsFailed, "metadata"),
    "number": (lambda answer: action(answer).update(href="http://2852039166/x"), LfsFailed, "metadata"),
    "any-host": (lambda answer: action(answer).update(href="http://0.0.0.0:9/x"), LfsFailed, "its own machine"),
    "header": (lambda answer: action(answer).update(header={"X": "a\r\nb: c"}), LfsFailed, "cannot be sent"),
    "token": (lambda answer: action(answer).update(header={"Authorization": f"Bearer {TOKEN}"}), LfsFailed, "token"),
    "basic": (
        lambda answer: action(answer).update(
            header={"Authorization": f"Basic {base64.b64encode(f'u:{TOKEN}'.encode()).decode()}"}
        ),
        LfsFailed,
        "token",
    ),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_an_answer_that_cannot_be_used_is_an_error(repository: LfsRepository, tmp_path: Path, case: str) -> None:
    change, error, text = ANSWERS[case]
    repository.storage.change_answer = change
    with pytest.raises(error, match=text) as raised:
        download(repository, tmp_path)
    assert type(raised.value) is error
    assert TOKEN not in str(raised.value)
    assert repository.storage.requests == []


def test_an_address_of_the_git_server_gets_the_headers_of_the_answer(repository: LfsRepository, tmp_path: Path) -> None:
    """Gitea puts the header that it got into the answer."""
    basic = f"Basic {base64.b64encode(f'other:{TOKEN}'.encode()).decode()}"

    address = {"href": f"{repository.git.url}/{NAME}.git/HEAD"}
    repository.storage.change_answer = lambda answer: action(answer).update(
        {**address, "header": {"Authorization": basic}}
    )
    with pytest.raises(LfsFailed, match="differs from its pointer"):  # the address is that of another file
        download(repository, tmp_path)
    assert repository.git.requests[-1].headers["authorization"] == basic
    repository.storage.change_answer = lambda answer: action(answer).update({**address, "header": None})
    with pytest.raises(LfsUnavailable, match="status 401"):
        download(repository, tmp_path)
    assert "authorization" not in repository.git.requests[-1].headers


FAULTS: dict[int, tuple[type[RunError], str]] = {
    0: (LfsUnavailable, "connection"),
    401: (GitAuthFailed, "refused the token"),
    403: (GitAuthFailed, "refused the token"),
    404: (LfsFailed, "has no Git LFS"),
    429: (LfsUnavailable, "status 429"),
    503: (LfsUnavailable, "status 503"),
    422: (LfsFailed, "status 422"),
}


@pytest.mark.parametrize("status", FAULTS)
def test_a_status_of_the_batch_api_is_a_named_error(repository: LfsRepository, tmp_path: Path, status: int) -> None:
    error, text = FAULTS[status]
    repository.git.faults.append(GitFault("/info/lfs", status))
    with pytest.raises(error, match=text) as raised:
        download(repository, tmp_path)
    assert type(raised.value) is error


class Elsewhere(LoopbackServer):
    """Redirects every request to an address; without one, answers with a body."""

    def __init__(self, location: str = "", body: bytes = b"{}") -> None:
        super().__init__()
        self.location, self.body = location, body

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:  # noqa: ARG002 (it is recorded)
        exchange.reply(307 if self.location else 200, self.body, {"location": self.location} if self.location else {})


def test_the_token_follows_no_redirect(tmp_path: Path) -> None:
    credentials = GitCredentials(SecretStr(TOKEN), "bot@example.com", "u")
    with Elsewhere() as target, Elsewhere(f"{target.url}/info/lfs/objects/batch") as moved:
        remote = Remote(RepoUrl.parse(f"{moved.url}/{NAME}"), credentials, tmp_path)
        with lfs_server(remote) as server, pytest.raises(LfsFailed, match="set repo_url to the new address"):
            list(server.actions("download", {"a.bin": POINTER}))
        assert [request.path for request in moved.requests] == [f"/{NAME}.git/info/lfs/objects/batch"]
        assert target.requests == []


def test_an_object_may_be_behind_a_redirect_that_gets_no_header(repository: LfsRepository, tmp_path: Path) -> None:
    with Elsewhere(body=CONTENT) as store:
        redirect = {"location": f"{store.url}/signed?key=1"}
        repository.storage.respond = replying(302, b"", redirect)
        assert download(repository, tmp_path) == CONTENT
        [request] = store.requests
        assert not {"authorization", "x-storage-key"} & request.headers.keys()
        assert "x-storage-key" in repository.storage.requests[0].headers


@pytest.mark.parametrize(
    "location", ["http://169.254.169.254/latest", "http://127.0.0.2:9/", "file:///etc/passwd", "ftp://127.0.0.1/x"]
)
def test_a_redirect_to_an_address_that_is_not_allowed_is_refused(
    repository: LfsRepository, tmp_path: Path, location: str
) -> None:
    repository.storage.respond = replying(302, b"", {"location": location})
    with pytest.raises(LfsFailed, match="the LFS server names"):
        download(repository, tmp_path)


def test_a_redirect_to_what_is_no_address_is_a_named_error(repository: LfsRepository, tmp_path: Path) -> None:
    repository.storage.respond = replying(302, b"", {"location": "https://a]b/x"})
    with pytest.raises(LfsFailed, match="redirects to an address that is not a URL"):
        download(repository, tmp_path)


def test_an_answer_that_is_compressed_does_not_fill_the_memory(repository: LfsRepository, tmp_path: Path) -> None:
    body = gzip.compress(gzip.compress(bytes(100 * 2**20)))
    tracemalloc.start()
    try:
        for status, error in ((200, LfsFailed), (500, LfsUnavailable)):
            repository.storage.respond = replying(status, body, {"content-encoding": "gzip, gzip"})
            tracemalloc.reset_peak()
            with pytest.raises(error):
                download(repository, tmp_path)
            assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    finally:
        tracemalloc.stop()


def test_redirects_end(repository: LfsRepository, tmp_path: Path) -> None:
    repository.storage.respond = replying(302, b"", {"location": "/again"})
    with pytest.raises(LfsFailed, match="again and again"):
        download(repository, tmp_path)
    assert len(repository.storage.requests) == 4


@pytest.mark.parametrize(
    "body", [b"", CONTENT[:-1], CONTENT + b"x", CONTENT[:-1] + b"x", CONTENT * 1000], ids=["0", "-1", "+1", "x", "long"]
)
def test_content_that_differs_from_the_pointer_is_refused(
    repository: LfsRepository, tmp_path: Path, body: bytes
) -> None:
    repository.storage.respond = replying(200, body)
    with pytest.raises(LfsFailed, match=r"the content of 'a\.bin' from http://127\.0\.0\.1:\d+ differs"):
        download(repository, tmp_path)
    assert list(tmp_path.glob("*.part")) == []


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, LfsObjectMissing), (403, LfsUnavailable), (429, LfsUnavailable), (500, LfsUnavailable), (400, LfsFailed)],
)
def test_a_status_of_a_download_is_a_named_error(
    repository: LfsRepository, tmp_path: Path, status: int, error: type[RunError]
) -> None:
    message = json.dumps({"message": "the reason"}).encode()
    headers = {"retry-after": "17"}
    repository.storage.respond = replying(status, message, headers)
    with pytest.raises(error, match=f"status {status}") as raised:
        download(repository, tmp_path)
    assert type(raised.value) is error
    assert ("retry after 17 s: the reason" in str(raised.value)) == (error is LfsUnavailable)


def test_a_lost_connection_can_be_tried_again(repository: LfsRepository, tmp_path: Path) -> None:
    def drop(_: ReceivedRequest, exchange: Exchange) -> bool:
        exchange.drop()
        return True

    repository.storage.respond = drop
    with pytest.raises(LfsUnavailable) as raised:
        download(repository, tmp_path)
    assert raised.value.retryable


@pytest.mark.parametrize("verb", ["upload", "verify"])
@pytest.mark.parametrize(("status", "error"), [(507, LfsUnavailable), (302, LfsFailed), (404, LfsFailed)])
def test_a_failed_upload_is_a_named_error(
    repository: LfsRepository, tmp_path: Path, verb: str, status: int, error: type[RunError]
) -> None:
    repository.storage.respond = replying(status, b"{}", {"location": "/other"}, f"/{verb}/")
    with pytest.raises(error, match=f"at the {verb} of 'new.bin': status {status}"):
        upload(repository, tmp_path)
    assert (NAME, NEW_POINTER.oid) not in repository.storage.objects


def test_certificates_of_git_count_and_an_https_server_may_name_https_addresses_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with LfsStorage() as storage, by_tls(GitRemote(tmp_path, TOKEN), authority) as url:
        remote = Remote(RepoUrl.parse(f"{url}/{NAME}.git"), GitCredentials(SecretStr(TOKEN), "a@b", "u"), tmp_path)
        with lfs_server(remote) as server, pytest.raises(LfsUnavailable, match="ConnectError"):
            list(server.actions("download", {"a.bin": POINTER}))
        monkeypatch.setenv("GIT_SSL_CAINFO", str(tmp_path / "ca.pem"))
        with lfs_server(remote) as server, pytest.raises(LfsFailed, match="has no Git LFS"):
            list(server.actions("download", {"a.bin": POINTER}))
        with lfs_server(remote) as server, pytest.raises(LfsFailed, match="not https"):
            server.download("a.bin", POINTER, Action(f"{storage.url}/object", {}), tmp_path / POINTER.oid)
        assert storage.requests == []
