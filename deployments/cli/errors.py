"""The errors of the set-up commands; each message is one sentence that says what to do."""


class Refused(Exception):
    """A command cannot continue. It has changed nothing since its last line of output."""


class NoAwsCredentials(Refused):
    """There are no AWS credentials, or AWS does not accept them."""


class AwsRefused(Refused):
    """AWS answered a call with an error that has no name of its own here."""


class NoPrefectApi(Refused):
    """No Prefect API is configured, or the configured one does not answer."""


class StackMissing(Refused):
    """A stack that this command needs does not exist."""


class StackBusy(Refused):
    """Another change of the stack is in progress, or an earlier change failed half-way."""


class StackFailed(Refused):
    """CloudFormation could not create, update or delete a stack."""


class ImageMissing(Refused):
    """The registry does not hold the image."""


class ImageTagUnknown(Refused):
    """The image has no tag: none was named, and no commit holds exactly these files."""


class BuilderMissing(Refused):
    """Neither docker, podman nor buildah works here."""


class BuildFailed(Refused):
    """The image could not be built or pushed."""


class UnknownCluster(Refused):
    """There is no active cluster of that name."""


class UnknownNetwork(Refused):
    """A subnet or security group does not exist, or they are in different VPCs."""


class DeploymentMissing(Refused):
    """The Prefect server has no deployment of that name."""


class DeployFailed(Refused):
    """`prefect deploy` failed."""


class TokenMissing(Refused):
    """There is no git token, or a run could not use it."""


class UnknownModel(Refused):
    """The model id is not one of Bedrock's."""


class InvalidParameter(Refused):
    """A run's parameter or variable, or a command's option, cannot be read."""


class OverridesTooLarge(Refused):
    """ECS would not take the task's overrides."""


class ParametersTooLarge(Refused):
    """Prefect would not take the run's parameters."""


class NotificationBlockUnknown(Refused):
    """There is no such block on the Prefect server, or it cannot be notified."""


class StoreUnknown(Refused):
    """The saved state of runs cannot be listed in this storage."""


class RunsNotOver(Refused):
    """The saved state of an unfinished run would be deleted."""
