"""The errors of the set-up commands; each message is one sentence that says what to do."""


class Refused(Exception):
    """A command cannot continue. It has changed nothing since its last line of output."""


class NoAwsCredentials(Refused):
    """AWS credentials are missing, or AWS rejected them."""


class AwsRefused(Refused):
    """AWS answered a call with an error that no command handles."""


class NoPrefectApi(Refused):
    """No Prefect API is configured, or the configured one does not answer."""


class StackMissing(Refused):
    """A stack that this command needs does not exist."""


class StackBusy(Refused):
    """Another change of the stack is in progress, or an earlier change failed half-way."""


class StackFailed(Refused):
    """CloudFormation could not create, update or delete a stack."""


class ImageMissing(Refused):
    """The image is not in the registry."""


class ImageTagUnknown(Refused):
    """The image has no tag: no tag is set, and no commit has exactly these files."""


class BuilderMissing(Refused):
    """Neither docker, podman nor buildah works on this machine."""


class BuildFailed(Refused):
    """The image could not be built or pushed."""


class UnknownCluster(Refused):
    """The cluster does not exist, or is not active."""


class UnknownNetwork(Refused):
    """A subnet or security group does not exist, or they are not all in the same VPC."""


class DeploymentMissing(Refused):
    """The Prefect server does not have the deployment, or the run was started without a deployment."""


class DeployFailed(Refused):
    """`prefect deploy` failed."""


class TokenMissing(Refused):
    """There is no git token."""


class InvalidGitSecret(Refused):
    """A run could not use the git token, the e-mail address or the user name. A run's own error has the same name."""


class UnknownModel(Refused):
    """The model id is not a Bedrock model id."""


class InvalidParameter(Refused):
    """A run's parameter or variable, or a command's option, cannot be read."""


class OverridesTooLarge(Refused):
    """The task's overrides are larger than ECS accepts."""


class ParametersTooLarge(Refused):
    """The run's parameters are larger than Prefect accepts."""


class NotificationBlockUnknown(Refused):
    """The block is not on the Prefect server, or it cannot receive notifications."""


class StoreUnknown(Refused):
    """The saved state of runs cannot be listed in this storage."""


class RunsNotOver(Refused):
    """A run is not finished, so its saved state is not deleted, and the run is neither continued nor repeated."""
