"""The flow: a git repository and instructions in, a pushed branch out."""

from typing import Any, cast

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, wait
from prefect.states import Cancelled

from flows.credentials import GitCredentials
from flows.ending import Delivery
from flows.form import (
    BaseBranchField,
    BranchField,
    ClaudeCodeBlockField,
    CloneDepthField,
    CommitMessageField,
    DefaultBranchField,
    GitCredentialsBlockField,
    InstructionsField,
    LimitsField,
    ModelIdField,
    NoPromptCacheField,
    PolicyField,
    ProviderField,
    RegionField,
    RepoUrlField,
    S3UriField,
    SecretIdField,
    SettingsField,
)
from flows.keepings import Keepings, Plan
from flows.parameters import (
    DEFAULT_CLONE_DEPTH,
    DEFAULT_COMMIT_MESSAGE,
    DEFAULT_REGION,
    DEFAULT_SECRET_ID,
    DEFAULT_SETTINGS,
    ChangePolicy,
    Limits,
)
from flows.tasks.agent import new_agent
from flows.tasks.announce import announce
from flows.tasks.begin import Run, flow_run_name, scheduled_start
from flows.tasks.cancellation import was_being_cancelled
from flows.tasks.claude import Work, finished_work, run_claude, take_up
from flows.tasks.clone import clone, clone_again
from flows.tasks.conclude import completed, concluded
from flows.tasks.execution import newest_execution
from flows.tasks.instructions import fetch_instructions
from flows.tasks.plan import keep_start, take_up_instructions
from flows.tasks.push import push
from flows.tasks.secret import read_secret
from flows.tasks.warm_up import warm_up
from flows.workspace.directory import workspace as run_workspace


@flow(flow_run_name=flow_run_name, on_completion=[announce], on_failure=[announce])
def implement(
    repo_url: RepoUrlField,
    instructions_s3_uri: S3UriField = "",
    instructions: InstructionsField = "",
    base_branch: BaseBranchField = "",
    branch_name: BranchField = "",
    commit_message: CommitMessageField = DEFAULT_COMMIT_MESSAGE,
    provider: ProviderField = "bedrock",
    claude_model_id: ModelIdField = "",
    limits: LimitsField = Limits(),  # noqa: B008 (frozen)
    claude_settings: SettingsField = DEFAULT_SETTINGS,
    disable_prompt_cache: NoPromptCacheField = False,
    claude_code_block: ClaudeCodeBlockField = "",
    git_credentials_secret_id: SecretIdField = DEFAULT_SECRET_ID,
    git_credentials_block: GitCredentialsBlockField = "",
    aws_region: RegionField = DEFAULT_REGION,
    clone_depth: CloneDepthField = DEFAULT_CLONE_DEPTH,
    allow_default_branch: DefaultBranchField = False,
    policy: PolicyField = ChangePolicy(),  # noqa: B008 (frozen)
) -> State[Delivery]:
    """Let Claude Code implement written instructions in a git repository, and push the result as a branch.

    Args:
        repo_url: The https address to clone from, without a user or a token: https://github.com/owner/repository.git
        instructions_s3_uri: What is to be done: s3://bucket/file.md, or s3://bucket/folder/* for every file below it.
            Give this or the text.
        instructions: What is to be done, in Markdown, in place of a file in S3.
        base_branch: Where a new branch starts. Empty: the repository's default branch.
        branch_name: Where the work goes. One that exists is continued. Empty: a new one, its name
            feature/claude-implementation, the time, and a part of the run's id.
        commit_message: Of the one commit that the run makes; the flow run's id is added to it.
        provider: Who serves the model: Amazon Bedrock, or Anthropic's own API.
        claude_model_id: Its id, as the provider names it. Empty: the current Sonnet.
        limits: Where the run stops by itself.
        claude_settings: What Claude Code may do, above all which tools it may use, as the JSON of its settings file.
        disable_prompt_cache: Have the provider read the whole conversation anew each time; costs more.
        claude_code_block: A block with provider, model, settings and limits; it decides what is left as it is here.
        git_credentials_secret_id: Name or ARN of the secret in AWS Secrets Manager that holds {"token", "email"}.
        git_credentials_block: Name of a block that holds the token, in place of the secret.
        aws_region: Where the secret, the instructions and Bedrock are.
        clone_depth: How many are fetched. 0: all of them.
        allow_default_branch: Otherwise a run whose branch is the default branch is refused.
        policy: What a change may hold. One that holds more is kept, and not pushed.
    """
    given = locals()
    if was_being_cancelled():
        return Cancelled(message="It was being cancelled when its machine was lost; what it had done is kept.")
    with run_workspace() as workspace, concluded(given, workspace) as run, newest_execution(run.store):
        warm_up()
        reading = read_secret.submit(run.request)
        run.kept = Keepings.load(run.store)
        # What an earlier execution of this run did is not done again.
        run.work = _go_on(run, reading, run.kept.plan) if run.kept.plan else _start(run, reading)
        push(run.request, reading.result(), workspace, run.work.change, run.work.kept, run.store)
    return completed(run)


def _start(run: Run, reading: PrefectFuture[GitCredentials]) -> Work:
    """The work of a run from its beginning."""
    fetching = fetch_instructions.submit(run.request, run.workspace)
    # Prefect waits for what the future holds, and hands that to the task.
    cloning = clone.submit(run.request, cast("GitCredentials", reading), run.workspace)
    run.agent = new_agent(run.options, run.provider)
    _wait(reading, cloning, fetching)  # none may outlive the directory that it writes to
    run.credentials = credentials = reading.result()
    plan = Plan(run.request.repo_url.url, cloning.result(), fetching.result(), scheduled_start())
    run.plan = keep_start(run.store, plan, run.workspace, runtime.flow_run.parameters)
    return run_claude(run.agent, run.workspace, run.plan, run.identity(credentials.email), run.store)


def _go_on(run: Run, reading: PrefectFuture[GitCredentials], plan: Plan) -> Work:
    """The work of a run that began elsewhere: the same start, the same instructions, nothing done twice."""
    run.plan = plan
    run.credentials = credentials = reading.result()
    clone_again(run.request, credentials, run.workspace, plan.checkout, work_tree=run.kept.finished is None)
    if run.kept.finished:
        return finished_work(run.workspace, plan, run.kept.finished, run.store)
    if not take_up_instructions(run.store, plan, run.workspace):
        fetch_instructions(run.request, run.workspace)
    run.agent = new_agent(run.options, run.provider)
    take_up(run.workspace, run.agent, run.kept)
    return run_claude(run.agent, run.workspace, plan, run.identity(credentials.email), run.store)


def _wait(*futures: PrefectFuture[Any]) -> None:
    wait(list(futures))
