"""What a run learns about its token before an agent is paid, and what it does about changes while the agent works."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from deployments.local.git_remote import GitFault
from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest
from deployments.local.scripted_model import Tool, Turn
from deployments.local.stack import GIT_EMAIL, GIT_TOKEN
from flows import errors
from flows.forges.base import Forge
from flows.forges.github import GitHub
from flows.forges.gitlab import GitLab
from flows.forges.table import forge_of
from flows.repository import token_expiry
from tests.support.combinations import some
from tests.support.runs import Run
from tests.support.world import World

PUSH_SERVICE = "service=git-receive-pack"


@pytest.mark.parametrize(
    ("status", "error"), [(401, errors.GitAuthFailed), (403, errors.GitAuthFailed), (404, errors.RepoNotFound)]
)
def test_a_token_that_may_not_push_stops_the_run_before_the_agent(
    world: World, run: Callable[..., Run], status: int, error: type[errors.RunError]
) -> None:
    world.stack.git.faults.extend([GitFault(PUSH_SERVICE, status)] * 2)
    refused_run = run()
    assert isinstance(refused_run.error, error)
    assert "no agent was started" in str(refused_run.error)
    assert refused_run.run_count("clone") == 1
    assert not world.stack.model.requests


@pytest.mark.parametrize("status", some([429, 503], [500, 502]))
def test_a_check_that_cannot_be_made_does_not_stop_the_run(
    world: World, run: Callable[..., Run], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    world.stack.git.faults.append(GitFault(PUSH_SERVICE, status))
    assert run(branch_name="x").delivered().branch == "x"
    assert "the right to push could not be checked" in caplog.text
    assert world.branches() == {"main", "x"}


@pytest.fixture
def renew(world: World) -> Iterator[Callable[[str], str]]:
    """A function that renews the token on the git server and in a secret of its own, while an agent works."""
    name = f"renewed/{world.name}"
    world.stack.put_secret(json.dumps({"token": GIT_TOKEN, "email": GIT_EMAIL}), name)

    def renew_during_work(secret: str) -> str:
        world.script(
            Turn("I wait.", (Tool("Bash", {"command": "touch began; sleep 3; echo x > x.txt"}),)), Turn("Done.")
        )

        def renew() -> None:
            while not world.stack.model.requests:
                time.sleep(0.05)
            world.stack.git.token = "a-new-token-of-this-test"
            world.stack.put_secret(secret, name)

        threading.Thread(target=renew, daemon=True).start()
        return name

    yield renew_during_work
    world.stack.git.token = GIT_TOKEN


def test_a_token_that_was_renewed_while_the_agent_worked_is_used(
    world: World, run: Callable[..., Run], renew: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    secret = renew(json.dumps({"token": "a-new-token-of-this-test", "email": GIT_EMAIL}))
    run(branch_name="x", git_credentials_secret_id=secret).delivered()
    assert world.content("x", "x.txt") == "x"
    assert "the git token was renewed while the agent worked" in caplog.text
    assert "a-new-token-of-this-test" not in caplog.text


@pytest.mark.parametrize("secret", ["not json", json.dumps({"token": "a b", "email": GIT_EMAIL}), "{}"])
def test_a_secret_that_was_damaged_while_the_agent_worked_does_not_replace_the_token(
    run: Callable[..., Run], renew: Callable[[str], str], secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    flow_run = run(branch_name="x", git_credentials_secret_id=renew(secret))
    assert isinstance(flow_run.error, errors.GitAuthFailed)
    assert "the change is saved as" in str(flow_run.error)
    assert "could not be read again" in caplog.text


def test_a_token_that_was_bound_to_other_repositories_while_the_agent_worked_is_not_sent(
    world: World, run: Callable[..., Run], renew: Callable[[str], str]
) -> None:
    bound = {"token": "a-new-token-of-this-test", "email": GIT_EMAIL, "hosts": ["github.com"]}
    flow_run = run(branch_name="x", git_credentials_secret_id=renew(json.dumps(bound)))
    assert isinstance(flow_run.error, errors.RepositoryNotAllowed)
    assert "the change is saved as" in str(flow_run.error)
    assert world.branches() == {"main"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("update-ref", "-d", "refs/heads/x"), "x was deleted on the remote"),
        (("branch", "-D", "x"), "x was deleted on the remote"),
        (("update-ref", "refs/heads/x", "main"), "x was reset to"),
        (("branch", "-f", "x", "x^"), "x was reset to"),
    ],
)
def test_a_branch_that_lost_commits_while_the_agent_worked_is_reported(
    world: World, run: Callable[..., Run], arguments: tuple[str, ...], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    run(branch_name="x").delivered()
    base = world.git("rev-parse", "x")
    world.shell("echo more > more.txt")
    answer = world.stack.model.answer

    def change_the_remote(request: ReceivedRequest, exchange: Exchange) -> None:
        if len(world.stack.model.requests) == 1:
            world.git(*arguments)
        answer(request, exchange)

    world.stack.model._server.answer = change_the_remote
    try:
        flow_run = run(branch_name="x")
    finally:
        world.stack.model._server.answer = answer
    assert world.git("rev-parse", "x^") == base
    assert words in caplog.text
    assert words in flow_run.artifact()


class Api(LoopbackServer):
    """A forge's API that tells when the token expires, in a header and in the body."""

    def __init__(self, expiry: str, status: int = 200) -> None:
        super().__init__()
        self.expiry, self.status = expiry, status

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        del request
        headers = {"github-authentication-token-expiration": self.expiry}
        exchange.reply(self.status, json.dumps({"expires_at": self.expiry or None}).encode(), headers)


@pytest.mark.parametrize(
    ("forge", "text", "moment"),
    [
        (GitHub(), "2026-12-01 10:00:00 UTC", datetime(2026, 12, 1, 10, tzinfo=UTC)),
        (GitHub(), "2026-12-01 10:00:00 -0500", datetime(2026, 12, 1, 15, tzinfo=UTC)),
        (GitHub(), "", None),
        (GitHub(), "tomorrow", None),
        (GitLab(), "2026-12-01", datetime(2026, 12, 1, tzinfo=UTC)),
        (GitLab(), "2026-12-01T10:00:00.000Z", datetime(2026, 12, 1, 10, tzinfo=UTC)),
        (GitLab(), "", None),
    ],
)
def test_the_forge_tells_when_the_token_expires(forge: Forge, text: str, moment: datetime | None) -> None:
    with Api(text) as api:
        assert token_expiry.read_expiry(forge, api.url, SecretStr("the-token")) == moment
    assert api.requests[0].headers["authorization"] == "Bearer the-token"


@pytest.mark.parametrize("status", [301, 401, 403, 404, 500])
def test_a_forge_that_does_not_tell_is_no_error(status: int) -> None:
    with Api("2026-12-01", status) as api:
        assert token_expiry.read_expiry(GitLab(), api.url, SecretStr("the-token")) is None
        assert len(api.requests) == 1
    assert token_expiry.read_expiry(GitLab(), "http://127.0.0.1:9/", SecretStr("the-token")) is None


@pytest.mark.parametrize(
    ("page", "address"),
    [
        ("https://github.com/o/r", "https://api.github.com/"),
        ("https://acme.ghe.com/o/r", "https://api.acme.ghe.com/"),
        ("https://github.example.com/o/r", "https://github.example.com/api/v3/"),
        ("https://gitlab.com/g/r", "https://gitlab.com/api/v4/personal_access_tokens/self"),
        ("https://gitlab.example.com:8443/g/r", "https://gitlab.example.com:8443/api/v4/personal_access_tokens/self"),
        ("https://bitbucket.org/w/r", ""),
        ("https://codeberg.org/o/r", ""),
    ],
)
def test_the_token_is_sent_only_to_the_api_of_its_own_forge(page: str, address: str) -> None:
    forge = forge_of(page)
    assert forge is not None
    assert forge.expiry_url(page) == address


@pytest.mark.parametrize(("minutes", "warns"), [(10, True), (115, True), (200, False)])
def test_a_token_that_may_expire_before_the_push_is_reported(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, minutes: int, *, warns: bool
) -> None:
    expiry = f"{datetime.now(UTC) + timedelta(minutes=minutes):%Y-%m-%d %H:%M:%S} UTC"
    with Api(expiry) as api:
        monkeypatch.setattr(GitHub, "hosts", r"127\.0\.0\.1")
        monkeypatch.setattr(GitHub, "expiry_url", lambda _forge, _page: api.url)
        flow_run = run()
    flow_run.delivered()
    assert ("the git token expires at" in flow_run.artifact()) is warns
