"""Every failure that a user can meet, by name.

A name is an outcome. A message says what was wrong, with which value (never a secret's), and what to do about it.
`retryable` says whether the same call may succeed later without anyone changing anything; the tasks' retry condition
reads it. Each class takes one message, so that every error pickles.
"""

import re
from typing import ClassVar, Final

from flows.text_safety import sanitize


class RunError(Exception):
    """A run cannot go on; `str()` of it is a sentence for the user."""

    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "") -> None:
        # A message may quote a server, a tool or a parameter; it is shown in logs, states and reports.
        super().__init__(sanitize(message))


class Unexpected(RunError):
    """A fault of this program, or of the machine: no name here fits it."""


# What the caller asked for.


class InvalidRepoUrl(RunError):
    """`repo_url` is not a URL that this workflow clones from."""


class InvalidS3Uri(RunError):
    """`instructions_s3_uri` does not name an object or a folder in S3."""


class InvalidInstructionsSource(RunError):
    """Neither, or both, of `instructions_s3_uri` and `instructions` were given."""


class InvalidBranchName(RunError):
    """`branch_name` or `base_branch` is not a branch name."""


class InvalidCommitMessage(RunError):
    """`commit_message` is empty or holds a NUL byte."""


class InvalidModelId(RunError):
    """`claude_model_id` is not a model id."""


class InvalidRegion(RunError):
    """`aws_region` is not the name of an AWS region."""


class InvalidSettings(RunError):
    """`claude_settings` is not what Claude Code accepts, or asks for more than a run may."""


class InvalidLimits(RunError):
    """A limit or `clone_depth` is out of its range."""


class BlockNotFound(RunError):
    """No block document of that name is on the Prefect server."""


# Credentials.


class InvalidSecretId(RunError):
    """`git_credentials_secret_id` is not the name or ARN of a secret."""


class AwsCredentialsMissing(RunError):
    """The trusted side has no AWS credentials, or expired ones."""


class InvalidCredential(RunError):
    """A credential holds a character that it cannot be sent with."""


class SecretNotFound(RunError):
    """AWS Secrets Manager has no secret of that id in that region."""


class SecretAccessDenied(RunError):
    """The trusted side's role may not read the secret."""


class SecretUnavailable(RunError):
    """AWS Secrets Manager did not answer."""

    retryable = True


class InvalidGitSecret(RunError):
    """The secret does not hold `{"token": …, "email": …}`."""


class RepositoryNotAllowed(RunError):
    """The git token is bound to other hosts or repositories."""


class ApiKeyMissing(RunError):
    """The run's provider needs an API key, and there is none."""


# Instructions.


class InstructionsNotFound(RunError):
    """The bucket, or the object, does not exist."""


class InstructionsAccessDenied(RunError):
    """The trusted side's role may not list or read the instructions."""


class InstructionsUnavailable(RunError):
    """S3 did not answer."""

    retryable = True


class InstructionsEmpty(RunError):
    """There is nothing to do in them: no object, or only white space."""


class InstructionsTooLarge(RunError):
    """More objects, or more bytes, than a run takes."""


class InstructionsNotText(RunError):
    """The main instruction file is not UTF-8."""


class UnsafeKey(RunError):
    """An S3 key cannot become a file below the instructions' directory."""


class KeyCollision(RunError):
    """Two S3 keys would become the same file."""


class NoSavedChange(RunError):
    """The run store has no change of that run."""


class StoreUnavailable(RunError):
    """The run store did not take, or give, what a run keeps."""


class Superseded(RunError):
    """A later execution of the same flow run has taken over: this one has nothing more to say."""


DISK_FULL: Final = "the disk of this machine is full: give the run a larger one, or have the agent leave less on it"


class DiskFull(RunError):
    """The machine's disk, on which a run works, is full."""


def disk_full_error(output: str) -> DiskFull | None:
    """Return the error of a program whose output says that the disk is full."""
    is_full = re.search(r"No space left on device|Disk quota exceeded", output)
    return DiskFull(f"{DISK_FULL} ({output.strip()})") if is_full else None


# The repository.


class RepoNotFound(RunError):
    """The remote has no such repository, or hides it from this token."""


class EmptyRepo(RunError):
    """The repository has no commit to start from."""


class BaseRefNotFound(RunError):
    """`base_branch` is not on the remote."""


class GitAuthFailed(RunError):
    """The remote refused the token."""


class RemoteUnavailable(RunError):
    """The git remote did not answer, or broke off."""

    retryable = True


class GitFailed(RunError):
    """git failed in a way that has no name here; its own words are in the message."""


class CommandFailed(RunError):
    """A command of this program that runs as the agent's user failed; its own output is in the message."""


class ProtectedBranch(RunError):
    """The branch to push is, or may be, the repository's default branch."""


class BranchConflict(RunError):
    """The branch cannot be created, or somebody else moved it."""


class PushRejected(RunError):
    """The remote refused the push; its reason is in the message."""


class AgentRepoInvalid(RunError):
    """What the agent left is not a repository from which a change can be taken."""


# What the change holds.


class UnexpectedSubmodule(RunError):
    """The change adds, moves or removes a submodule, or holds another repository."""


class UnsafeSymlink(RunError):
    """A symbolic link of the change leads out of the repository."""


class FileTooLarge(RunError):
    """A file of the change is larger than a git host takes."""


class TooManyDeletions(RunError):
    """The change deletes more of the repository than it may."""


class CiFilesChanged(RunError):
    """The change touches what a CI service runs, with credentials of its own."""


class AgentFilesChanged(RunError):
    """The change touches what coding agents run when they open the repository."""


class SecretInChange(RunError):
    """The change, or its commit message, holds something that looks like a secret."""


class CredentialExposed(RunError):
    """One of the run's own credentials was seen where the agent could write: it has to be renewed."""


# Claude.


class ModelAccessDenied(RunError):
    """The provider refused the credentials, or does not let them use the model."""


class ModelNotFound(RunError):
    """The provider has no such model, in that region."""


class ModelUnavailable(RunError):
    """The provider is overloaded, throttles, or did not answer."""

    retryable = True


class PromptTooLong(RunError):
    """The conversation no longer fits the model."""


class TurnLimitReached(RunError):
    """The agent used up `max_turns`."""


class BudgetExceeded(RunError):
    """The agent used up `max_budget_usd`."""


class AgentTimeout(RunError):
    """The agent worked longer than `agent_timeout_seconds`."""


class AgentStalled(RunError):
    """The agent said nothing for `stall_timeout_seconds`."""

    retryable = True


class AgentCrashed(RunError):
    """The agent's process ended without a result."""

    retryable = True


class AgentDenied(RunError):
    """The agent changed nothing, and tools that it wanted were denied: that is not "nothing to change"."""


class AgentFailed(RunError):
    """The agent ended with an error that has no name here; its own words are in the message."""
