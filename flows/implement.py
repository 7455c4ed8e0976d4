"""The flow: a git repository and instructions in, a pushed branch out."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Cancelled

from flows.outcome.result import RunResult
from flows.parameters.form import (
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
from flows.parameters.request import (
    DEFAULT_CLONE_DEPTH,
    DEFAULT_COMMIT_MESSAGE,
    DEFAULT_REGION,
    DEFAULT_SECRET_ID,
    DEFAULT_SETTINGS,
    ChangePolicy,
    Limits,
)
from flows.reporting.events import emit_run_event
from flows.run.cancellation import was_being_cancelled
from flows.run.lifecycle import completed, in_parallel, open_run
from flows.run.run import flow_run_name
from flows.tasks.claude import run_claude
from flows.tasks.clone import clone
from flows.tasks.instructions import fetch_instructions
from flows.tasks.push import push
from flows.tasks.secret import read_credentials


@flow(flow_run_name=flow_run_name, on_completion=[emit_run_event], on_failure=[emit_run_event])
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
) -> State[RunResult]:
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
    parameters = locals()
    if was_being_cancelled():
        return Cancelled(message="The run was being cancelled when its machine was lost; its work so far is saved.")
    with open_run(parameters) as run:
        credentials = read_credentials(run)
        checkout, instructions = in_parallel(clone.submit(run, credentials), fetch_instructions.submit(run))
        change = run_claude(run, credentials, checkout, instructions)
        push(run, credentials, change)
    return completed(run, change)
