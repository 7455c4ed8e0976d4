"""Defines the errors of a run: one class for each way in which a run can fail.

Users see the name of the class. The message says what was wrong, with which value (never the value of a secret), and
what to do about it. If `retryable` is true, the same call may succeed when it is simply repeated. Only such errors make
Prefect retry a step. Each class takes one message, so that every error can be pickled.
"""

import errno
import re
from typing import ClassVar, Final

from flows.text_safety import sanitize


class RunError(Exception):
    """A run cannot continue. This is the base class of the errors below; the message is a sentence for the user."""

    retryable: ClassVar[bool] = False
    ends_with_output: ClassVar[bool] = False
    """Whether the message has one line of sentences, and then the output of a command."""
    result: object = None
    """What is known about the run that the error ended, as its result; None until the run is closed."""

    def __init__(self, message: str = "") -> None:
        # A message may quote a server, a tool or a parameter, and it is shown in logs, states and reports.
        super().__init__(sanitize(message))

    @property
    def sentences(self) -> str:
        """The message without the output of a command at its end."""
        return str(self).partition("\n")[0] if self.ends_with_output else str(self)


class Unexpected(RunError):
    """A fault of this program or of the machine that none of the other classes describes."""


# Parameters.


class InvalidRepoUrl(RunError):
    """`repo_url` is not a URL from which this workflow can clone."""


class InvalidS3Uri(RunError):
    """`instructions_s3_uri` does not name an object or a folder in S3."""


class InvalidInstructionsSource(RunError):
    """Both or neither of `instructions_s3_uri` and `instructions` are set."""


class InvalidBranchName(RunError):
    """`branch_name` or `base_branch` is not a valid branch name."""


class InvalidCommitMessage(RunError):
    """`commit_message` is empty or contains a NUL byte."""


class InvalidModelId(RunError):
    """`claude_model_id` is not a valid model id."""


class InvalidRegion(RunError):
    """`aws_region` is not the name of an AWS region."""


class InvalidSettings(RunError):
    """`claude_settings` is not valid for Claude Code, or contains a setting that a run may not use."""


class InvalidLimits(RunError):
    """A limit or `clone_depth` is out of range."""


class InvalidSetupCommand(RunError):
    """`verification.setup_command` is a text that a shell cannot run."""


class InvalidVerifyCommands(RunError):
    """The verify commands are a text that a shell cannot run, or a delivery has none to verify its change with."""


class InvalidPullRequest(RunError):
    """A parameter of the group `pull_request` cannot be used."""


class BlockNotFound(RunError):
    """The Prefect server has no block document with the given name."""


class InvalidBlock(RunError):
    """A Claude Code block contains a value that a run cannot use."""


class BlockNotForRepository(RunError):
    """The Claude Code block is for other repositories than `repo_url`."""


# Credentials.


class InvalidSecretId(RunError):
    """`git_credentials_secret_id` is not the name or ARN of a secret."""


class AwsCredentialsMissing(RunError):
    """The flow's process has no AWS credentials, or they have expired."""


class InvalidCredential(RunError):
    """A credential contains a character that cannot be sent in an HTTP header."""


class InvalidEndpoint(RunError):
    """An environment variable or a profile holds a server's address that is not an http or https URL."""


class InvalidCertificates(RunError):
    """An environment variable names a file or folder of CA certificates that does not exist or cannot be used."""


class SecretNotFound(RunError):
    """AWS Secrets Manager has no secret with the given id in the run's region."""


class SecretAccessDenied(RunError):
    """The AWS role of the flow's process may not read the secret."""


class SecretUnavailable(RunError):
    """AWS Secrets Manager did not answer."""

    retryable = True


class InvalidGitSecret(RunError):
    """The secret does not have the form `{"token": …, "email": …}`."""


class RepositoryNotAllowed(RunError):
    """The git secret does not allow its token to be used for the run's host or repository."""


class ApiKeyMissing(RunError):
    """The run's provider needs an API key, but no key is set."""


# Instructions.


class InstructionsNotFound(RunError):
    """The S3 bucket or the S3 object of the instructions does not exist."""


class InstructionsAccessDenied(RunError):
    """The AWS role of the flow's process may not list or read the instructions."""


class InstructionsUnavailable(RunError):
    """S3 did not answer."""

    retryable = True


class InstructionsEmpty(RunError):
    """The instructions contain no object, or only white space."""


class InstructionsTooLarge(RunError):
    """The instructions have more objects or more bytes than a run accepts."""


class InstructionsNotText(RunError):
    """The main instruction file is not UTF-8."""


class UnsafeKey(RunError):
    """An S3 key cannot become a file below the instructions' directory."""


class KeyCollision(RunError):
    """Two S3 keys would become the same file."""


class NoSavedChange(RunError):
    """The run store has no saved change of the given run."""


class InvalidFollowUp(RunError):
    """The parameters of a follow-up do not say which work it continues, or name something that cannot be continued."""


class FollowUpInProgress(RunError):
    """Another run follows up on the same branch now. Nothing was spent, and nothing was answered."""


class NoSavedRun(RunError):
    """No run of this run store has pushed the branch or opened the pull request."""


class StoreUnavailable(RunError):
    """A file in the run store could not be read or written."""


class Superseded(RunError):
    """A later attempt of the same flow run has taken over, so this attempt stops."""


DISK_FULL: Final = (
    "the disk of this machine is full: have the agent write less to it, or give the run a larger disk. On ECS, both "
    "`prefect deployment run` and `python -m deployments runs continue` do so by --job-variable ephemeral_storage=100"
)


class DiskFull(RunError):
    """The disk of the run's machine is full."""


_DISK_FULL_NUMBERS: Final = {errno.ENOSPC, errno.EDQUOT}


def named_error(error: Exception) -> RunError:
    """Return a `RunError` for any error. Prefect stores the text of errors, and only a `RunError` redacts its text."""
    if isinstance(error, RunError):
        return error
    if isinstance(error, OSError) and error.errno in _DISK_FULL_NUMBERS:
        return DiskFull(f"{DISK_FULL} ({error})")
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 (an error's `__str__` may raise anything)
        text = "its text cannot be shown"
    return Unexpected(f"{type(error).__name__}: {text}: please report this error, with the run's log")


def disk_full_error(output: str) -> DiskFull | None:
    """Return a `DiskFull` if a program's output says that the disk is full; otherwise None."""
    is_full = re.search(r"No space left on device|Disk quota exceeded", output)
    return DiskFull(f"{DISK_FULL} ({output.strip()})") if is_full else None


# The repository.


class RepoNotFound(RunError):
    """The remote has no repository at the run's URL, or hides the repository from the run's token."""


class EmptyRepo(RunError):
    """The repository has no commit to start from."""


class UnsupportedObjectFormat(RunError):
    """The repository names its commits by SHA-256, not by SHA-1."""


class BaseRefNotFound(RunError):
    """The remote has no branch, tag or commit with the name in `base_branch`."""


class SubmoduleNotAllowed(RunError):
    """A submodule has an address, a name or a path in .gitmodules from which a run does not fetch."""


class LfsUnavailable(RunError):
    """The server of Git LFS did not answer, or is overloaded."""

    retryable = True


class LfsObjectMissing(RunError):
    """The server of Git LFS does not have the content of a file, and the run does not have it either."""


class LfsTooLarge(RunError):
    """The files of Git LFS are larger than a run fetches."""


class LfsFailed(RunError):
    """The server of Git LFS gave an answer that a run cannot use, or content that differs from its pointer."""


class GitAuthFailed(RunError):
    """The remote refused the token."""


class RemoteUnavailable(RunError):
    """The git remote did not answer, or closed the connection early."""

    retryable = True


class GitFailed(RunError):
    """git failed in a way that none of the other classes describes; the message quotes its output."""


class CommandFailed(RunError):
    """A command that this program ran as the agent's user failed; the message quotes its output."""


class InvalidRepositoryFile(RunError):
    """The file `.claude-code-headless.yaml` on the default branch cannot be used."""


class SetupFailed(RunError):
    """The setup command failed, took too long, or filled the disk. The agent was not started."""

    ends_with_output = True


class ServiceFailed(RunError):
    """A service of the repository ended, did not become healthy, or can be reached from other machines."""


class ProtectedBranch(RunError):
    """The branch to push is, or may be, the repository's default branch."""


class BranchConflict(RunError):
    """The branch cannot be created, or another push moved it."""


class BaseRewritten(RunError):
    """The base branch no longer has the commit that the change merges, so a push would bring removed commits back."""


class ChangeConflicts(RunError):
    """The change cannot be applied to a newer commit, because both changed the same files in different ways."""


class GitTooOld(RunError):
    """The git of this machine lacks a command that `apply_to_latest` needs."""


class PushRejected(RunError):
    """The remote refused the push; the message quotes its reason."""


class InvalidForgeApiUrl(RunError):
    """`forge_api_url` is not an address to which the git token may be sent, or the forge has no known API."""


class ForgeAuthFailed(RunError):
    """The forge's API refused the token, or the key of the GitHub App."""


class ForgePermissionMissing(RunError):
    """The token may push, but lacks a permission that the forge's API asks for."""


class ForgeUnavailable(RunError):
    """The forge's API did not answer, failed, or refused more requests for some time."""

    retryable = True
    retry_after_seconds: int = 0
    """After how many seconds the forge wants to be asked again; 0 if it did not tell."""


class PullRequestRefused(RunError):
    """The forge does not accept the pull request; the message quotes its reason."""


class InvalidForgePage(RunError):
    """An address is not the page of a pull request or of an issue, or is that of another repository than `repo_url`."""


class IssueNotFound(RunError):
    """The forge has no such issue, or does not show it to the run's token."""


class InvalidReviewersHeard(RunError):
    """`reviewers_heard` has an empty or a long id, or too many."""


class InvalidIssue(RunError):
    """An issue cannot be the instructions of a run: it is closed, or was edited after the run was requested."""


class AgentRepoInvalid(RunError):
    """The agent left a work tree from which git cannot collect a change."""


class WorkLeftAside(RunError):
    """The work tree is unchanged, but the agent left work in other places, such as branches or the stash."""


class VerificationFailed(RunError):
    """The change does not pass the repository's own checks."""

    ends_with_output = True


# The content of the change.


class UnexpectedSubmodule(RunError):
    """The change adds, moves or removes a submodule, or contains another repository."""


class UnsafeSymlink(RunError):
    """A symbolic link in the change leads out of the repository."""


class FileTooLarge(RunError):
    """A file in the change is larger than git hosts accept."""


class TooManyDeletions(RunError):
    """The change deletes a larger part of the repository than the run's policy allows."""


class TooManyNewFiles(RunError):
    """The change adds more files than the run's policy allows."""


class LfsFileWithoutPointer(RunError):
    """The change contains the full content of a file that the repository stores as a Git LFS pointer."""


class CiFilesChanged(RunError):
    """The change touches files that a CI service would run with the service's own credentials."""


class AgentFilesChanged(RunError):
    """The change touches files that coding agents run when these agents open the repository."""


class SecretInChange(RunError):
    """The change or its commit message contains something that looks like a secret."""


class CredentialExposed(RunError):
    """One of the run's own credentials was found in a place that the agent can write to, and must be renewed."""


# Claude.


class ModelAccessDenied(RunError):
    """The provider refused the credentials, or does not allow them to be used for the model."""


class ModelNotFound(RunError):
    """The provider has no model with the run's model id in the run's region."""


class ModelUnavailable(RunError):
    """The provider is overloaded, throttles requests, or did not answer."""

    retryable = True


class ModelQuotaExceeded(RunError):
    """The account's credit, or its quota for the model, is used up."""


class ModelRefused(RunError):
    """The model refused to answer because of its provider's policy."""


class PromptTooLong(RunError):
    """The conversation no longer fits the model's context window."""


class TurnLimitReached(RunError):
    """The agent used up `max_turns`."""


class BudgetExceeded(RunError):
    """The agent used up `max_budget_usd`."""


class AgentTimeout(RunError):
    """The agent did not finish within `agent_timeout_seconds`."""


class AgentStalled(RunError):
    """The agent and the model sent nothing for `stall_timeout_seconds`."""

    retryable = True


class AgentCrashed(RunError):
    """The agent's process ended without a result."""

    retryable = True


class AgentDenied(RunError):
    """The agent was denied a tool and changed nothing, so the task may not be done."""


class NeedsInput(RunError):
    """The agent needs answers to go on; the message quotes its questions. Its work so far is saved."""


class Blocked(RunError):
    """Something that the agent cannot change prevents the work; the message quotes it. The work so far is saved."""


class AgentFailed(RunError):
    """The agent ended with an error that none of the other classes describes; the message quotes it."""
