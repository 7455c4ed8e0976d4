"""Derives the ARNs that a role must be allowed to use to call a Bedrock model.

A role that may use only these ARNs can call this model and no other.
https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-prereq.html
"""

import re
from collections.abc import Iterable
from typing import Final

from deployments.aws.account import Account
from deployments.cli.errors import UnknownModel
from flows.parameters.provider import default_model_id

_GEOGRAPHIES: Final = {
    "us": "us-*",
    "us-gov": "us-gov-*",
    "eu": "eu-*",
    "apac": "ap-*",
    "jp": "ap-northeast-*",
    "au": "ap-southeast-*",
    "ca": "ca-*",
    "global": "*",
}
"""The regions to which an inference profile may route a call, by the geography with which the profile's id begins.

The regions are patterns, because AWS adds regions without notice.
"""


def model_parameters(account: Account, model_ids: Iterable[str]) -> dict[str, str]:
    """Return the parameters of roles.yaml that allow runs to call the models with these ids."""
    profiles, profile_models, models = [], [], []
    for model_id in model_ids:
        model = model_id.removesuffix("[1m]")  # the suffix selects Claude Code's long context, not another model
        geography, _, rest = model.partition(".")
        if model.startswith("arn:"):
            models.append(_checked(account, model, rf"arn:{account.partition}:bedrock:[\w-]+:\d*:[\w-]+/[\w.:/-]+"))
        elif geography in _GEOGRAPHIES:
            _checked(account, rest, r"[\w-]+\.[\w.:-]+")
            profiles.append(
                f"arn:{account.partition}:bedrock:{account.region}:{account.account_id}:inference-profile/{model}"
            )
            profile_models.append(_foundation_model(account, _GEOGRAPHIES[geography], rest))
        else:
            models.append(_foundation_model(account, account.region, _checked(account, model, r"[\w-]+\.[\w.:-]+")))
    lists = {"InferenceProfileArns": profiles, "ProfileModelArns": profile_models, "ModelArns": models}
    return {name: ",".join(arns) for name, arns in lists.items()}


def _foundation_model(account: Account, region: str, model: str) -> str:
    return f"arn:{account.partition}:bedrock:{region}::foundation-model/{model}"


def _checked(account: Account, model: str, pattern: str) -> str:
    if not re.fullmatch(pattern, model):
        example = default_model_id("bedrock", account.region)
        raise UnknownModel(f"{model!r} is not a Bedrock model id (example in {account.region}: {example})")
    return model
