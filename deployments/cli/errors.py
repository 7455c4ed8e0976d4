"""Every reason for which a set-up command refuses, by name; each message is one sentence that says what to do."""


class Refused(Exception):
    """A command cannot go on, and has changed nothing since it said so last."""


class NoAwsCredentials(Refused):
    """There are no AWS credentials, or AWS does not accept them."""


class AwsRefused(Refused):
    """AWS answered a call with an error that has no name of its own here."""


class NoPrefectApi(Refused):
    """No Prefect API is configured, or the configured one does not answer."""


class StackMissing(Refused):
    """A stack that this command builds on is not there."""


class StackBusy(Refused):
    """A stack is being changed by somebody else, or an earlier change of it failed half-way."""


class StackFailed(Refused):
    """CloudFormation could not make, change or remove a stack."""


class ImageMissing(Refused):
    """The registry does not hold the image."""


class ImageTagUnknown(Refused):
    """The image's tag is to be the commit's, and there is none that describes the files."""


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
    """No git token was given."""


class UnknownModel(Refused):
    """A model's id is not one of Bedrock's."""


class InvalidParameter(Refused):
    """A run's parameter or variable, or a command's option, cannot be read."""


class OverridesTooLarge(Refused):
    """ECS would not take the task's overrides."""


class ParametersTooLarge(Refused):
    """Prefect would not take the run's parameters."""


class NotificationBlockUnknown(Refused):
    """There is no such block on the Prefect server, or it cannot be notified."""


class StoreUnknown(Refused):
    """Runs' keepings cannot be listed where they are."""


class RunsNotOver(Refused):
    """What a run keeps would be deleted while it may need it."""
