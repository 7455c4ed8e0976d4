"""A run opens the pull request of its branch on each forge; if it cannot, the branch is pushed all the same."""

import json
import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from blocks import GitCredentials
from deployments.local.loopback import Exchange, ReceivedRequest
from deployments.local.scripted_model import Tool, Turn
from deployments.local.stack import GIT_TOKEN
from flows import errors
from flows.deliver import deliver
from flows.outcome.pull_request import PullRequestResult
from flows.outcome.result import RunResult
from flows.tasks.pull_request import pull_request as pull_request_step
from tests.support.forges.azure import AzureStandIn
from tests.support.forges.fixtures import parameters_for, serve_with_git
from tests.support.forges.gitea import GiteaStandIn
from tests.support.forges.github import GitHubStandIn
from tests.support.forges.stand_in import Fault, ForgeStandIn, Reply
from tests.support.forges.stand_ins import STAND_INS
from tests.support.prefect_workers import flush
from tests.support.runs import Run, run_flow
from tests.support.world import World

each_forge = pytest.mark.parametrize("kind", STAND_INS, ids=[kind.name for kind in STAND_INS])
MORE = Turn("I write.", (Tool("Bash", {"command": "echo more > more.txt"}),))
PULLS = "POST .*/pulls$"
MISSING = Reply(404, {"message": "Not Found"}, {"x-accepted-github-permissions": "pull_requests=write"})
FORBIDDEN = Reply(403, {"message": "Resource not accessible by personal access token"})


def delivery_of(run: Run, **parameters: Any) -> RunResult:  # noqa: ANN401 (the flow's parameters)
    call: Callable[..., Any] = deliver
    result = call(flow_run_id=run.id, **parameters, return_state=True).result(raise_on_failure=False)
    assert isinstance(result, RunResult), result
    return result


def event_payload(run: Run) -> dict[str, Any]:
    """Return the payload of the event at the run's end, which reaches the server shortly after it."""
    flush()
    query = {"filter": {"resource": {"id": [f"claude-code.run.{run.id}"]}}}
    for _ in range(100):
        if events := httpx.post(f"{run.api_url}/events/filter", json=query).json()["events"]:
            return dict(events[0]["payload"])
        time.sleep(0.1)
    raise AssertionError("the run sent no event")


def row(run: Run, name: str) -> str:
    """Return a row of the run's report."""
    return next((line for line in run.artifact().splitlines() if line.startswith(f"| {name} |")), "")


@each_forge
def test_a_run_opens_a_pull_request_and_names_it_everywhere(
    world: World, run: Callable[..., Run], kind: type[ForgeStandIn]
) -> None:
    with serve_with_git(kind, world) as forge:
        flow_run = run(**parameters_for(forge, pull_request_title="Say hello (#7)"))
        result = flow_run.delivered().pull_request
        assert result
        [opened] = forge.pull_requests
        assert (opened.title, opened.head, opened.base, opened.is_draft) == ("Say hello (#7)", "work", "main", False)
        assert (result.url, result.number, result.state) == (forge_page(forge), 1, "open")
        assert flow_run.id in opened.body
        assert "Say hello in hello.txt" in opened.body
        assert "**Checked:** nothing was run" in opened.body
        assert re.search(r", 2 turns, \S+, Claude Code \d+\.\d+", opened.body)
        assert not forge.statuses, "a run without verify commands has nothing to say about a commit"
        assert f"pull request {result.url}" in (flow_run.state.message or "")
        assert result.url in row(flow_run, "Pull request")
        flow_run_row = httpx.get(f"{flow_run.api_url}/flow_runs/{flow_run.id}").json()
        assert f"pull-request:{result.url}" in flow_run_row["tags"]
        assert flow_run.saved_file("pull-request").exists()
        of_this_run = {"flow_runs": {"id": {"any_": [flow_run.id]}}}
        artifacts = httpx.post(f"{flow_run.api_url}/artifacts/filter", json=of_this_run).json()
        [link] = [each["data"] for each in artifacts if (each["key"] or "").endswith("-pull-request")]
        assert link == f"[{result.url}]({result.url})"
        assert event_payload(flow_run)["pull_request"] == result.url


def forge_page(forge: ForgeStandIn) -> str:
    """Return the address of the first pull request's page."""
    paths = {
        "github": "/acme/widgets/pull/1",
        "gitlab": "/gitlab/acme/sub/widgets/-/merge_requests/1",
        "gitea": "/acme/widgets/pulls/1",
        "bitbucket": "/acme/widgets/pull-requests/1",
        "azure": "/acme/My%20Project/_git/widgets/pullrequest/1",
    }
    return f"{forge.url}{paths[forge.name]}"


def test_a_pushed_branch_without_a_pull_request_gets_it_from_a_delivery_and_the_next_run_updates_it(
    world: World, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull_request_step, "retry_delay_seconds", [0, 0, 0])
    with serve_with_git(GitHubStandIn, world) as forge, AzureStandIn() as elsewhere:
        forge.faults.append(Fault(PULLS, FORBIDDEN))
        wishes: dict[str, Any] = {"pull_request_labels": ["bot"], "reviewers": ["nobody"]}
        flow_run = run(**parameters_for(forge, **wishes))
        result = flow_run.delivered()
        assert world.git("rev-parse", "work") == result.commit
        assert result.pull_request
        assert (result.pull_request.url, forge.pull_requests) == ("", [])
        assert result.pull_request.fault.startswith("ForgePermissionMissing: the git token may not ")
        assert flow_run.state.name == "Completed"
        assert f", but no pull request: {result.pull_request.fault}"[:200] in (flow_run.state.message or "")
        report = flow_run.artifact()
        assert f'deliver/local --params \'{{"flow_run_id": "{flow_run.id}"}}\'' in report
        assert f"{forge.url}/acme/widgets/compare/main...work" in report

        redirect = Reply(307, {}, {"location": f"{elsewhere.url}/api/v3/repos/acme/widgets/pulls"})
        down = Reply(502, {"message": "Server Error"})
        for reply, count, name in (
            (MISSING, 1, "ForgePermissionMissing"),
            (redirect, 1, "PullRequestRefused"),
            (down, 4, "ForgeUnavailable"),
        ):
            forge.faults.append(Fault(PULLS, reply, count))
            refused = delivery_of(flow_run).pull_request
            assert refused
            assert refused.fault.startswith(f"{name}: ")
            assert not forge.faults, "the step was tried as often as it may be"
        assert elsewhere.requests == [], "the token does not follow a redirect"

        delivered = delivery_of(flow_run)
        assert (delivered.commit, len(forge.pull_requests)) == (result.commit, 1)
        assert delivered.pull_request
        assert (delivered.pull_request.number, delivered.pull_request.is_draft) == (1, False)
        [refusal] = delivered.pull_request.refusals
        assert "nobody" in refusal
        [opened] = forge.pull_requests
        assert (opened.title, opened.labels, opened.reviewers) == ("Done.", ["bot"], [])
        assert flow_run.id in opened.body

        opened.title = "The title of a person"
        advised = re.search(r"implement/local --params '(.*?)'", report)
        assert advised
        assert f"""follow_up/local --params '{{"flow_run_id": "{flow_run.id}"}}'`""" in opened.body
        world.script(MORE, Turn("Done again."))
        second = run(**{**json.loads(advised[1]), "instructions": "Say more."})
        updated = second.delivered().pull_request
        assert updated
        assert (updated.number, len(forge.pull_requests), updated.refusals) == (1, 1, ())
        assert opened.title == "The title of a person"
        assert "Done again." in opened.body
        assert flow_run.id not in opened.body
        assert f"run={second.id} head={second.delivered().commit}" in opened.body


def test_a_change_that_failed_its_verification_is_marked_and_its_commit_has_a_failed_status(
    make_world: Callable[[dict[str, str]], World],
) -> None:
    template = ".github/pull_request_template.md"
    world = make_world({"README.md": "# A repository\n", template: "## Checklist\n", "no.sh": "! test -e hello.txt"})
    with serve_with_git(GitHubStandIn, world) as forge:
        forge.takes_drafts = False
        verification = {"verify_commands": "sh no.sh", "max_repairs": 0, "on_verification_failure": "push"}
        flow_run = run_flow(
            world.stack.prefect_api_url,
            **parameters_for(forge),
            instructions="Say hello in hello.txt",
            verification=verification,
        )
        assert type(flow_run.error) is errors.VerificationFailed
        assert f", pull request {forge_page(forge)}" in str(flow_run.error)
        [opened] = forge.pull_requests
        assert (opened.title.startswith("[unverified] "), opened.is_draft) == (True, False)
        assert "- `sh no.sh`: failed, exit status 1, " in opened.body
        assert "**Verification:** verification failed, so the run asked for a draft" in opened.body
        assert opened.body.endswith("## Checklist\r\n") or opened.body.endswith("## Checklist")
        commit = world.git("rev-parse", "work")
        assert [(each["sha"], each["state"]) for each in forge.statuses] == [(commit, "pending"), (commit, "failure")]
        assert {each["context"] for each in forge.statuses} == {"claude-code"}

        verification["verify_commands"] = "true"
        world.script(MORE, Turn("Done again."))
        second = run_flow(
            world.stack.prefect_api_url,
            **parameters_for(forge),
            instructions="Say more.",
            verification=verification,
        )
        assert second.delivered().pull_request
        assert [each["state"] for each in forge.statuses[2:]] == ["pending", "success"]
        assert "- `true`: passed, exit status 0, " in opened.body
        assert "**Verification:** verified\n" in opened.body.replace("\r\n", "\n")


def test_a_delivery_opens_a_draft_for_a_change_that_was_kept_although_the_run_asked_for_none(
    world: World, run: Callable[..., Run]
) -> None:
    with serve_with_git(GiteaStandIn, world) as forge:
        verification = {"verify_commands": "! test -e hello.txt", "max_repairs": 0}
        kept = run(repo_url=forge.repo_url, branch_name="work", verification=verification)
        assert type(kept.error) is errors.VerificationFailed
        assert (world.branches(), forge.pull_requests) == ({"main"}, [])
        parameters = parameters_for(forge)
        del parameters["repo_url"], parameters["branch_name"]
        delivered = delivery_of(kept, **parameters)
        assert delivered.outcome == "not-verified"
        assert delivered.pull_request
        assert delivered.pull_request.is_draft
        [opened] = forge.pull_requests
        assert opened.title.startswith("WIP: ")
        assert "failed, exit status 1" in opened.body
        assert kept.id in opened.body
        assert [each["state"] for each in forge.statuses] == ["pending", "failure"]


def test_a_token_goes_to_no_api_on_another_server(world: World, run: Callable[..., Run]) -> None:
    with serve_with_git(GitHubStandIn, world) as forge, GitHubStandIn() as elsewhere:
        parameters = {**parameters_for(forge), "forge_api_url": elsewhere.api_url}
        refused = run(**parameters)
        assert isinstance(refused.error, errors.InvalidForgeApiUrl)
        host = forge.url.removeprefix("http://")
        block = GitCredentials(token=SecretStr(GIT_TOKEN), email="a@example.com", hosts=[host])
        for addresses in (None, [f"{elsewhere.api_url}/other"]):
            block.forge_api_urls = addresses
            block.save("with-addresses", overwrite=True)
            refused = run(**parameters, git_credentials_block="with-addresses")
            assert isinstance(refused.error, errors.InvalidForgeApiUrl)
            assert "only if forge_api_urls of the Git Credentials block or secret lists this address" in str(
                refused.error
            )
        assert (forge.requests, elsewhere.requests, world.stack.model.requests) == ([], [], [])


def test_a_branch_to_merge_into_that_is_missing_is_refused_before_the_agent_starts(
    world: World, run: Callable[..., Run]
) -> None:
    with serve_with_git(GitHubStandIn, world) as forge:
        refused = run(**parameters_for(forge, pull_request_base="nowhere"))
        assert isinstance(refused.error, errors.InvalidPullRequest)
        assert "'nowhere'" in str(refused.error)
        on_main = {**parameters_for(forge), "branch_name": "main", "allow_default_branch": True}
        assert isinstance(run(**on_main).error, errors.InvalidPullRequest)
        to_the_api = [each for each in forge.requests if each.path.startswith(forge.root)]
        assert (world.stack.model.requests, to_the_api) == ([], [])


class AppStandIn(GitHubStandIn):
    """GitHub with an App that is installed for the repository."""

    def __init__(self, token: str) -> None:
        super().__init__(token)
        self.tokens = 0

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        if request.path == f"{self.root}/app/installations/99/access_tokens":
            self.tokens += 1
            body = {"token": self.token, "expires_at": "2030-01-01T00:00:00Z"}
            return exchange.reply(201, json.dumps(body).encode())
        return super().answer(request, exchange)


def test_a_github_app_gets_a_token_for_the_clone_and_again_for_the_push(world: World, run: Callable[..., Run]) -> None:
    with serve_with_git(AppStandIn, world) as forge:
        assert isinstance(forge, AppStandIn)
        key = rsa.generate_private_key(65537, 2048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        secret = {"app_id": "123456", "private_key": pem, "installation_id": 99, "hosts": [forge.url[7:]]}
        world.stack.put_secret(json.dumps(secret), world.name)
        flow_run = run(**parameters_for(forge), git_credentials_secret_id=world.name)
        assert flow_run.delivered().pull_request == PullRequestResult(forge_page(forge), 1, state="open")
        assert forge.tokens == 3, "for the clone, the push, and the pull request"
        author = world.git("log", "-1", "--format=%ae", "work")
        assert author == "claude-code-headless@users.noreply.invalid"
