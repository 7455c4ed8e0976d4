"""The next steps in a report: each command is complete, and no advice would fail for the same reason again."""

import dataclasses
import json
import shlex

import pytest

from flows import errors
from flows.agent.no_change import denial_advice
from flows.forges.reviews.selection import Reason
from flows.outcome.pull_request import PullRequestResult
from flows.outcome.review import ReviewSummary
from flows.outcome.summary import RunSummary
from flows.parameters.addresses import RepoUrl
from flows.parameters.limits import Limits
from flows.reporting.next_steps import advice
from flows.repository.clone import Checkout, check_target
from flows.repository.collect import Change, FileChange
from flows.repository.remote_refs import RemoteRefs
from flows.state.agent_report import AgentReport
from flows.verification.results import CommandResult, Verdict, Verification

CHECKOUT = Checkout("feature/it's", "main", "b" * 40, "")
AGENT = AgentReport("Done.", 3, 0.5, 61.25, "session", {}, ())
BUNDLE = "s3://results/claude-code-headless/run/change.bundle"
DELIVERED = RunSummary(
    flow_run_id="id",
    deployment="ecs",
    repo_url=RepoUrl.parse("https://github.com/o/r.git"),
    checkout=CHECKOUT,
    change=Change("c" * 40, CHECKOUT, (FileChange("a.py", 10, 2),)),
    agent=AGENT,
)
SAVED = {"change.bundle": BUNDLE, "plan": "s3://results/plan"}
CONTINUE = "python -m deployments runs continue id"
REPEAT = "python -m deployments runs repeat id"


def advice_for(error: BaseException | None = None, **fields: object) -> str:
    return "\n".join(advice(dataclasses.replace(DELIVERED, error=error, **fields)))  # type: ignore[arg-type]


def parameters_of_command(text: str, start: str) -> dict[str, object]:
    """Return the parameters that a shell would pass to the advised command."""
    command = next(part for part in text.replace("```sh", "`").replace("```", "`").split("`") if start in part)
    words = shlex.split(command)
    parameters: dict[str, object] = json.loads(words[words.index("--params") + 1])
    return parameters


def test_after_a_delivery_a_new_run_continues_the_branch() -> None:
    text = advice_for()
    assert parameters_of_command(text, "prefect deployment run implement/ecs") == {
        "repo_url": "https://github.com/o/r.git",
        "branch_name": "feature/it's",
        "instructions": "…",
    }


def test_after_a_pull_request_a_run_can_follow_up_on_the_review() -> None:
    text = advice_for(
        pull_request=PullRequestResult("https://github.com/o/r/pull/1", 1, state="open"), change_run_id="id"
    )
    assert parameters_of_command(text, "prefect deployment run follow_up/ecs") == {"flow_run_id": "id"}
    assert "follow_up" not in advice_for()


def test_accounts_that_were_not_heard_can_be_heard() -> None:
    unheard = (f"eve (id 9), on the whole: {Reason.BOT}", f"ada (id 8), on a.py:1: {Reason.LATER}")
    text = advice_for(review=ReviewSummary(0, 0, 0, unheard), change_run_id="id")
    assert "2 comments were not heard: the section" in text
    assert parameters_of_command(text, '"reviewers_heard"') == {"flow_run_id": "id", "reviewers_heard": ["…"]}


@pytest.mark.parametrize("error", [None, errors.NeedsInput("Tabs?"), errors.VerificationFailed("it fails")])
def test_a_new_run_has_what_this_run_needed(error: errors.RunError | None) -> None:
    needed = {
        "provider": "anthropic",
        "forge_api_url": "https://g.example.com/api",
        "pull_request": {"pull_request": "draft"},
    }
    text = advice_for(error, deployment="", next_parameters=needed, pushes_failures=True)
    parameters = parameters_of_command(text, "prefect deployment run implement/local")
    assert parameters == {
        "repo_url": "https://github.com/o/r.git",
        "branch_name": "feature/it's",
        "instructions": "…",
        **needed,
    }


def test_a_missing_pull_request_can_be_opened_by_a_delivery_or_by_hand() -> None:
    missing = PullRequestResult(fault="ForgePermissionMissing: the token may not open pull requests")
    page = "https://github.com/o/r/compare/main...feature/it%27s?expand=1"
    not_verified = errors.VerificationFailed("the change does not pass")
    for error in (None, not_verified):
        text = advice_for(
            error, pull_request=missing, change_run_id="the-run-with-the-change", pushes_failures=error is not None
        )
        parameters = parameters_of_command(text, "prefect deployment run deliver/ecs")
        assert parameters == {"flow_run_id": "the-run-with-the-change"}
        assert f"[open it by hand](<{page}>)" in text
    for result in (None, PullRequestResult("https://github.com/o/r/pull/7", 7, state="open")):
        assert "by hand" not in advice_for(pull_request=result)


def test_a_run_without_a_deployment_has_a_command_for_a_shell() -> None:
    moved = errors.BranchConflict("another push moved it")
    text = advice_for(moved, deployment="", saved_files=SAVED)
    [line] = [line for line in text.splitlines() if line.startswith("- If no process serves `deliver/local`")]
    program, option, script = shlex.split(line.split("`")[3])
    assert (program, option) == ("python", "-c")
    assert script == ('from flows.deliver import deliver; deliver(flow_run_id="id", branch_name="feature/it\'s-2")')
    assert "start a run with the same branch and new instructions" in text
    text = advice_for(errors.CiFilesChanged("set policy.allow_ci_changes"), deployment="", saved_files=SAVED)
    assert 'deliver(flow_run_id="id", policy={"allow_ci_changes": True})' in text
    assert "python -c" not in advice_for(moved, saved_files=SAVED)


def test_if_nothing_changed_the_run_can_be_repeated() -> None:
    text = advice_for(change=Change("", CHECKOUT))
    assert REPEAT in text
    assert "instructions" in text


def test_a_change_that_a_policy_refused_is_delivered_with_the_policy_that_allows_it() -> None:
    error = errors.CiFilesChanged("the change touches CI: set policy.allow_ci_changes if that is wanted")
    text = advice_for(error, saved_files=SAVED)
    assert parameters_of_command(text, "prefect deployment run deliver/ecs") == {
        "flow_run_id": "id",
        "policy": {"allow_ci_changes": True},
    }
    assert "*Retry*" not in text, "the policy would refuse it again"
    assert CONTINUE not in text
    copy = f"aws s3 cp {BUNDLE} change.bundle && git fetch change.bundle"
    assert copy in text, "git cannot read an S3 URI"


def test_a_change_that_no_parameter_allows_is_not_delivered_but_made_again() -> None:
    text = advice_for(errors.LfsFileWithoutPointer("'a.bin': has content"), saved_files=SAVED)
    assert f"aws s3 cp {BUNDLE} change.bundle" in text
    assert f"`{REPEAT} --set lfs=true`" in text
    assert "deliver/" not in text
    assert "*Retry*" not in text
    assert CONTINUE not in text


def test_a_merge_of_removed_commits_is_not_delivered_but_made_again() -> None:
    text = advice_for(errors.BaseRewritten("main was reset"), saved_files=SAVED)
    assert f"aws s3 cp {BUNDLE} change.bundle" in text
    assert f"`{REPEAT}`" in text
    assert "deliver/" not in text
    assert "*Retry*" not in text
    assert CONTINUE not in text


def test_after_a_full_disk_the_run_is_continued_on_a_larger_one() -> None:
    text = advice_for(errors.DiskFull(errors.DISK_FULL), saved_files=SAVED)
    assert f"`{CONTINUE} --job-variable ephemeral_storage=100`" in text
    assert "*Retry* on this run's page keeps the size" in text
    assert "--job-variable ephemeral_storage=100" in errors.DISK_FULL


def test_a_change_whose_branch_moved_is_delivered_to_another_branch_or_on_top_of_it() -> None:
    text = advice_for(errors.BranchConflict("another push moved feature/it's to 0123"), saved_files=SAVED)
    to_another_branch, on_top = (line for line in text.splitlines() if "deliver/ecs" in line)
    start = "prefect deployment run deliver/ecs"
    assert parameters_of_command(to_another_branch, start) == {"flow_run_id": "id", "branch_name": "feature/it's-2"}
    assert parameters_of_command(on_top, start) == {"flow_run_id": "id", "apply_to_latest": True}


@pytest.mark.parametrize(("branch", "existing"), [("a/b", "a"), ("a/b/c", "a/b"), ("a", "a/b")])
def test_a_change_whose_branch_cannot_be_created_is_delivered_to_one_that_can(branch: str, existing: str) -> None:
    refs = RemoteRefs({"main": "b" * 40, existing: "b" * 40}, "main")
    with pytest.raises(errors.BranchConflict) as raised:
        check_target(refs, branch, allow_default_branch=False)
    text = advice_for(raised.value, saved_files=SAVED, checkout=dataclasses.replace(CHECKOUT, branch=branch))
    parameters = parameters_of_command(text, "prefect deployment run deliver/ecs")
    assert parameters.keys() == {"flow_run_id", "branch_name"}
    check_target(refs, str(parameters["branch_name"]), allow_default_branch=False)
    assert "apply_to_latest" not in text, "there is no such branch to apply the change to"


def test_if_the_branch_has_the_change_already_nothing_is_left_to_do() -> None:
    text = advice_for(change=Change("", CHECKOUT, already_on="main"))
    assert text == "`main` has this change already, so nothing was pushed. Review it there."


@pytest.mark.parametrize(
    "error", [errors.RemoteUnavailable("no answer"), errors.AgentCrashed("exit status 1"), KeyboardInterrupt()]
)
def test_an_error_that_can_pass_offers_to_retry_and_to_deliver(error: BaseException) -> None:
    text = advice_for(error, saved_files=SAVED)
    assert "*Retry* on this run's page" in text
    assert f"`{CONTINUE}`" in text
    assert parameters_of_command(text, "prefect deployment run deliver/ecs") == {"flow_run_id": "id"}


@pytest.mark.parametrize(
    ("error", "setting"),
    [
        (errors.BudgetExceeded("spent"), "limits.max_budget_usd=43"),
        (errors.TurnLimitReached("used"), "limits.max_turns=400"),
        (errors.AgentTimeout("timed out"), "limits.agent_timeout_seconds=14400"),
        (errors.AgentStalled("silent"), "limits.stall_timeout_seconds=1800"),
        (
            errors.AgentDenied(f"denied: {denial_advice({}, is_isolated=True)}"),
            "'claude_settings.permissions.defaultMode=\"bypassPermissions\"'",
        ),
    ],
)
def test_an_error_that_only_another_parameter_helps_names_it(error: errors.RunError, setting: str) -> None:
    agent = dataclasses.replace(AGENT, cost_usd=22.5)
    text = advice_for(error, saved_files=SAVED, agent=agent, limits=Limits())
    assert f"`{CONTINUE} --set {setting}`" in text
    assert "*Retry* on this run's page keeps all parameters" in text


FAILED = errors.VerificationFailed("the change does not pass its verification: 'x' timed out")


def verification(verdict: Verdict) -> Verification:
    failure = CommandResult("x", verdict, None, 600)
    return Verification("1" * 40, (failure,), failures=(failure,))


@pytest.mark.parametrize(
    ("verdict", "options"),
    [
        (Verdict.TIMED_OUT, "--set limits.command_timeout_seconds=1200"),
        (Verdict.OUT_OF_MEMORY, "--job-variable cpu=4096 --job-variable memory=16384"),
        (Verdict.OUT_OF_DISK, "--job-variable ephemeral_storage=100"),
    ],
)
def test_commands_that_the_machine_ended_can_run_again(verdict: Verdict, options: str) -> None:
    text = advice_for(FAILED, saved_files=SAVED, verification=verification(verdict))
    assert f"`{CONTINUE} {options}`" in text
    assert "*Retry* on this run's page" in text
    assert "max_repairs" not in text


def test_a_change_that_failed_is_repaired_more_often_or_delivered_with_or_without_another_verification() -> None:
    text = advice_for(FAILED, saved_files=SAVED, verification=verification(Verdict.FAILED))
    assert f"`{CONTINUE} --set verification.max_repairs=2`" in text
    again, as_it_is = (line for line in text.splitlines() if "deliver/ecs" in line)
    start = "prefect deployment run deliver/ecs"
    assert parameters_of_command(again, start) == {"flow_run_id": "id", "verify": True}
    assert parameters_of_command(as_it_is, start) == {"flow_run_id": "id"}


def test_a_repair_that_an_error_ended_is_continued() -> None:
    error = errors.VerificationFailed("it failed. A repair was ended: the model refused. It is saved")
    text = advice_for(error, saved_files=SAVED, verification=verification(Verdict.TIMED_OUT))
    assert f"*Retry* on this run's page, or `{CONTINUE}`" in text
    assert "--set" not in text


def test_a_denial_by_a_rule_offers_no_command_that_is_denied_again() -> None:
    settings = {"permissions": {"defaultMode": "bypassPermissions", "deny": ["Write"]}}
    text = advice_for(errors.AgentDenied(denial_advice(settings, is_isolated=True)), saved_files=SAVED)
    assert CONTINUE not in text
    assert "*Retry*" not in text
    assert REPEAT in text


@pytest.mark.parametrize("error", [errors.NeedsInput, errors.Blocked])
def test_a_question_is_answered_in_the_same_session_whatever_it_says(error: type[errors.RunError]) -> None:
    text_of_question = (
        'May I use policy.allow_ci_changes? set claude_settings.permissions.defaultMode="bypassPermissions"?'
    )
    text = advice_for(error(text_of_question), saved_files=SAVED)
    assert f"`{CONTINUE} --feedback '…'`" in text
    assert parameters_of_command(text, "prefect deployment run deliver/ecs") == {"flow_run_id": "id"}
    without_deployment = advice_for(error(text_of_question), saved_files=SAVED, deployment="")
    assert parameters_of_command(without_deployment, "prefect deployment run implement/local") == {
        "repo_url": "https://github.com/o/r.git",
        "branch_name": "feature/it's",
        "instructions": "…",
    }
    assert ("Remove the cause" in without_deployment) == (error is errors.Blocked)
    assert ("Answer the agent" in without_deployment) == (error is errors.NeedsInput)
    assert ("Answer the agent" in text) == (error is errors.NeedsInput)
    for words in ("policy", "bypassPermissions", "*Retry*"):
        assert words not in text


def test_before_the_plan_is_saved_a_run_can_only_be_repeated() -> None:
    text = advice_for(errors.InvalidRepoUrl("not a URL"), saved_files={}, change=None, checkout=None, repo_url=None)
    assert REPEAT in text
    for words in ("continue", "deliver", "*Retry*"):
        assert words not in text


def test_a_run_without_a_deployment_gets_no_command_that_needs_one() -> None:
    text = advice_for(errors.AgentCrashed("exit status 1"), saved_files=SAVED, deployment="")
    assert "deployments runs" not in text
    assert "*Retry*" not in text
    assert "deliver/local" in text
    assert "start the run again the way you first started it" in text
