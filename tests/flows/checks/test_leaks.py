"""A secret in a change, through the whole flow: the push is stopped, the work is saved, and no output shows it."""

import base64
import gzip
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.local.scripted_model import Tool, Turn
from deployments.local.stack import API_KEY, AWS_SECRET_ACCESS_KEY, GIT_TOKEN
from flows import errors
from flows.checks.leaks import looks_like_secret
from flows.redaction import SECRETS
from tests.support.labelled_secrets import Labelled, labelled_texts
from tests.support.prefect_workers import flush
from tests.support.runs import Run
from tests.support.world import World

ANOTHER_TOKEN = "ghp_" + "a1B2" * 9


def database(world: World) -> bytes:
    flush()
    return b"".join(path.read_bytes() for path in (world.stack.home / "prefect-server").rglob("*.db*"))


@pytest.mark.parametrize("secret", [GIT_TOKEN, API_KEY, AWS_SECRET_ACCESS_KEY], ids=["git", "anthropic", "aws"])
def test_a_credential_in_the_change_stops_the_run_and_appears_in_no_output(
    world: World, run: Callable[..., Run], caplog: pytest.LogCaptureFixture, secret: str
) -> None:
    world.shell(f"echo {secret} > found.txt; sleep 4")  # long enough for its progress to be logged
    stopped = run(provider="anthropic" if secret == API_KEY else "bedrock")
    assert isinstance(stopped.error, errors.CredentialExposed)
    assert "renew this credential" in str(stopped.error)
    assert world.branches() == {"main"}
    assert "runs echo *** > found.txt" in caplog.text
    transcript = gzip.decompress(stopped.saved_file("transcript.jsonl.gz").read_bytes())
    assert b"echo *** > found.txt" in transcript
    output = caplog.text.encode() + transcript + database(world)
    assert secret.encode() not in output
    assert base64.b64encode(secret.encode()).rstrip(b"=") not in output
    assert stopped.saved_file("change.bundle").stat().st_size


@pytest.mark.parametrize(
    ("command", "error", "policy"),
    [
        (f"echo {ANOTHER_TOKEN} > t.txt", errors.SecretInChange, {"allow_secrets_in": ["t.txt"]}),
        ("mkdir .circleci; echo x > .circleci/config.yml", errors.CiFilesChanged, {"allow_ci_changes": True}),
        ("ln -s /etc/hostname l", errors.UnsafeSymlink, {"allow_outside_links": True}),
    ],
)
def test_a_refused_change_is_saved_and_the_agent_is_not_paid_twice(
    world: World, run: Callable[..., Run], command: str, error: type[Exception], policy: dict[str, Any]
) -> None:
    world.shell(command)
    stopped = run(branch_name="the-branch")
    assert type(stopped.error) is error
    assert f"policy.{next(iter(policy))}" in str(stopped.error)
    assert f"change.bundle: the flow deliver pushes it later (flow_run_id={stopped.id})" in str(stopped.error)
    assert (stopped.run_count("claude"), stopped.run_count("push")) == (1, 1)
    assert world.branches() == {"main"}
    world.git("fetch", "--quiet", str(stopped.saved_file("change.bundle")), "refs/heads/the-branch:refs/heads/saved")
    assert world.git("diff", "--name-only", "main", "saved")
    assert run(branch_name="allowed", policy=policy).delivered().commit


def test_text_that_looks_like_a_token_is_redacted_in_log_report_result_and_transcript(
    world: World, run: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    greets = Tool("Write", {"file_path": "{cwd}/hello.txt", "content": "hello\n"})
    world.script(Turn(f"I use {ANOTHER_TOKEN}.", (greets,)), Turn(f"Done with {ANOTHER_TOKEN}."))
    completed = run()
    assert completed.delivered().summary == "Done with ***."
    assert "Done with ***." in completed.artifact()
    assert "says: I use ***." in caplog.text
    transcript = gzip.decompress(completed.saved_file("transcript.jsonl.gz").read_bytes())
    assert b"Done with ***." in transcript
    output = caplog.text.encode() + transcript + database(world) + completed.saved_file("report.md").read_bytes()
    assert ANOTHER_TOKEN.encode() not in output


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("rm -rf {cwd}/.git", errors.AgentRepoInvalid),
        ("rm -rf {cwd}/.git/objects; mkdir {cwd}/.git/objects", errors.AgentRepoInvalid),
        ("echo garbage > {cwd}/.git/HEAD", errors.AgentRepoInvalid),
    ],
)
def test_a_broken_repository_is_a_named_error_and_the_work_is_saved(
    world: World, run: Callable[..., Run], command: str, error: type[Exception]
) -> None:
    # The command is in a script, because Claude Code asks for permission before it removes .git.
    world.shell(f"echo work > work.txt; printf '%s' '{command}' > $HOME/plant; sh $HOME/plant")
    stopped = run(branch_name="the-branch")
    assert type(stopped.error) is error
    assert stopped.run_count("claude") == 1
    world.git("fetch", "--quiet", str(stopped.saved_file("change.bundle")), "refs/heads/the-branch:refs/heads/saved")
    assert world.content("saved", "work.txt") == "work"
    assert world.branches() == {"main", "saved"}


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda content: content.decode("latin-1")))
def test_no_text_breaks_the_scan(text: str) -> None:
    assert isinstance(looks_like_secret(text.encode()), str)


@pytest.mark.parametrize("labelled", labelled_texts(), ids=lambda labelled: labelled.kind)
def test_the_scan_agrees_with_the_labels(labelled: Labelled) -> None:
    assert bool(looks_like_secret(labelled.text.encode())) == labelled.is_secret


def json_web_token(claims: str) -> str:
    parts = ('{"alg": "HS256"}', claims, "a signature that is not checked")
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)


@pytest.mark.parametrize(
    ("claims", "is_secret"),
    [
        ('{"sub": "4711", "exp": 1893456000}', True),
        ('{"sub": "4711", "exp": "never"}', True),
        ('{"sub": "4711"}', True),
        ('{"sub": 4711, not JSON', True),
        ('{"sub": "4711", "exp": 1516239022}', False),
        ('{"sub": "1234567890", "name": "Ada"}', False),
        ('{"sub": "4711", "name": "John Doe", "exp": 1893456000}', False),
        ('{"iss": "https://auth.example.com/", "exp": 1893456000}', False),
    ],
)
def test_a_json_web_token_is_no_finding_if_it_has_expired_or_is_made_up(claims: str, is_secret: bool) -> None:
    assert bool(looks_like_secret(json_web_token(claims).encode())) == is_secret


@pytest.mark.parametrize("comment", ["pragma: allowlist secret", "gitleaks:allow", "betterleaks:allow", "nosec"])
def test_no_comment_allows_a_secret(comment: str) -> None:
    assert looks_like_secret(f"token = '{ANOTHER_TOKEN}'  # {comment}".encode()) == "a GitHub token"


def test_a_git_password_that_the_repository_contains_already_stops_no_run(
    world: World, run: Callable[..., Run]
) -> None:
    SECRETS.learn("a git password", "readme-word")
    readme = Tool("Bash", {"command": "echo 'the readme-word' > README.md; cat README.md"})
    world.script(Turn("I write it.", (readme,)), Turn("Done."))
    exposed = run(branch_name="first")
    assert isinstance(exposed.error, errors.CredentialExposed)
    world.git("fetch", "--quiet", str(exposed.saved_file("change.bundle")), "refs/heads/first:refs/heads/main")
    world.shell("cat README.md; cp README.md copy.md")
    assert run(branch_name="second").delivered().commit
