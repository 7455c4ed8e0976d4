"""The errors of the set-up commands. The message of each error is one sentence that says what to do."""


class Refused(Exception):
    """Base class of these errors. A command cannot continue; it has changed nothing since its last line of output."""


class NoAwsCredentials(Refused):
    """AWS credentials are missing, or AWS rejected them."""


class AwsRefused(Refused):
    """A call of AWS failed with an error that no command handles."""


class NoPrefectApi(Refused):
    """No Prefect API is configured, or the configured API does not answer."""


class StackMissing(Refused):
    """The command needs a CloudFormation stack that does not exist."""


class StackBusy(Refused):
    """The stack cannot be changed: another change is in progress, or an earlier change failed half-way."""


class StackFailed(Refused):
    """CloudFormation could not create, update or delete a stack."""


class ImageMissing(Refused):
    """The project's image is not in the registry."""


class ImageTagUnknown(Refused):
    """The image has no tag: the user set none, and no git commit has exactly the files of this directory."""


class InvalidImage(Refused):
    """Runs could not work in an image of the user's own, or could not be isolated in it."""


class BuilderMissing(Refused):
    """Neither docker, podman nor buildah works on this machine."""


class BuildFailed(Refused):
    """The image could not be built or pushed."""


class UnknownCluster(Refused):
    """The ECS cluster does not exist, or is not active."""


class UnknownNetwork(Refused):
    """Subnets or security groups are not set, do not exist, or are not all in the same VPC."""


class DeploymentMissing(Refused):
    """The Prefect server does not have the deployment, or the run was started without a deployment."""


class DeployFailed(Refused):
    """`prefect deploy` failed."""


class TokenMissing(Refused):
    """There is no git token: the user entered none, and none is stored."""


class InvalidGitSecret(Refused):
    """A run could not use the git token, e-mail address or user name. `flows.errors` has an error of this name."""


class UnknownModel(Refused):
    """The text is not the id of a Bedrock model."""


class InvalidParameter(Refused):
    """A parameter or environment variable of a run, or an option of a command, is invalid."""


class OverridesTooLarge(Refused):
    """The RunTask overrides of the run are larger than ECS accepts."""


class ParametersTooLarge(Refused):
    """The run's parameters are larger than Prefect accepts."""


class NotificationBlockUnknown(Refused):
    """The block for notifications is not on the Prefect server, or it cannot receive notifications."""


class StoreUnknown(Refused):
    """The storage block does not exist, or the saved state of runs cannot be listed in it."""


class RunsNotOver(Refused):
    """A run is not finished, so the command neither deletes its saved state, nor continues or repeats the run."""
