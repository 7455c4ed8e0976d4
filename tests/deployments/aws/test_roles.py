"""The rights of each role, evaluated from its policies: it may do what it needs, and nothing else."""

import ast
import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.cloud import CreatedProject

pytestmark = pytest.mark.xdist_group("aws")

HERE = "us-east-1:123456789012"
PROFILE = f"arn:aws:bedrock:{HERE}:inference-profile/us.anthropic.claude-sonnet-5-5"
MODEL = "arn:aws:bedrock:us-west-2::foundation-model/anthropic.claude-sonnet-5-5"
PREFECT_SECRET = f"arn:aws:secretsmanager:{HERE}:secret:claude-headless/prefect-api"


def many(value: Any) -> list[Any]:  # noqa: ANN401 (any value of a policy)
    return value if isinstance(value, list) else [value]


def like(pattern: str, value: str) -> bool:
    """Match as IAM does: * for any characters, ? for one."""
    return bool(re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), value))


def holds(condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    """Return whether each key of the condition is in the context, and matches one of its values there."""
    return all(
        key in context and any(like(value, context[key]) for value in many(values))
        for tests in condition.values()
        for key, values in tests.items()
    )


def allows(created_project: CreatedProject, role: str, action: str, resource: str, context: Mapping[str, str]) -> bool:
    """Evaluate a role's inline policies."""
    iam, name = created_project.cloud.client("iam"), f"{created_project.cloud.project}-{role}"
    documents = [  # moto returns a policy of CloudFormation as the text of a Python object
        ast.literal_eval(iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"])
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
    ]
    assert documents
    return any(
        action in many(statement["Action"])
        and any(like(pattern, resource) for pattern in many(statement["Resource"]))
        and holds(statement.get("Condition", {}), context)
        for document in documents
        for statement in document["Statement"]
        if statement  # moto leaves an empty statement for AWS::NoValue
    )


def rights(project: str) -> dict[tuple[str, str, str], tuple[bool, dict[str, str]]]:
    """Return whether each role may do an action on a resource, with the context of the request."""
    git = f"arn:aws:secretsmanager:{HERE}:secret:{project}/git"
    instructions, results = (
        f"arn:aws:s3:::{project}-{kind}-123456789012-us-east-1" for kind in ("instructions", "results")
    )
    cluster = {"ecs:cluster": f"arn:aws:ecs:{HERE}:cluster/{project}"}
    ecs, iam = f"arn:aws:ecs:{HERE}", "arn:aws:iam::123456789012:role"
    to_ecs = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
    by_profile = {"bedrock:InferenceProfileArn": PROFILE}
    return {
        ("execution", "secretsmanager:GetSecretValue", f"{PREFECT_SECRET}-AbC123"): (True, {}),
        ("execution", "secretsmanager:GetSecretValue", f"{PREFECT_SECRET}-other-AbC123"): (False, {}),
        ("execution", "secretsmanager:GetSecretValue", f"{git}-AbC123"): (False, {}),
        ("execution", "secretsmanager:PutSecretValue", f"{PREFECT_SECRET}-AbC123"): (False, {}),
        ("execution", "ecr:BatchGetImage", f"arn:aws:ecr:{HERE}:repository/{project}"): (True, {}),
        ("execution", "ecr:BatchGetImage", f"arn:aws:ecr:{HERE}:repository/{project}-other"): (False, {}),
        ("execution", "ecr:PutImage", f"arn:aws:ecr:{HERE}:repository/{project}"): (False, {}),
        ("execution", "logs:PutLogEvents", f"arn:aws:logs:{HERE}:log-group:{project}:log-stream:run/prefect/1"): (
            True,
            {},
        ),
        ("execution", "logs:PutLogEvents", f"arn:aws:logs:{HERE}:log-group:{project}-x:log-stream:run/1"): (False, {}),
        ("execution", "logs:CreateLogGroup", f"arn:aws:logs:{HERE}:log-group:{project}"): (False, {}),
        ("execution", "s3:GetObject", f"{instructions}/main.md"): (False, {}),
        ("task", "secretsmanager:GetSecretValue", f"{git}-AbC123"): (True, {}),
        ("task", "secretsmanager:GetSecretValue", f"{git}-other-AbC123"): (False, {}),
        ("task", "secretsmanager:GetSecretValue", f"{PREFECT_SECRET}-AbC123"): (False, {}),
        ("task", "s3:GetObject", f"{instructions}/folder/main.md"): (True, {}),
        ("task", "s3:PutObject", f"{instructions}/folder/main.md"): (False, {}),
        ("task", "s3:ListBucket", instructions): (True, {"s3:prefix": "folder/"}),
        ("task", "s3:GetObject", "arn:aws:s3:::another-bucket/main.md"): (False, {}),
        ("task", "s3:PutObject", f"{results}/claude-code-headless/run/report.md"): (True, {}),
        ("task", "s3:GetObject", f"{results}/claude-code-headless/run/change.bundle"): (True, {}),
        ("task", "s3:PutObject", f"{results}/elsewhere/report.md"): (False, {}),
        ("task", "s3:DeleteObject", f"{results}/claude-code-headless/run/report.md"): (False, {}),
        ("task", "s3:ListBucket", results): (True, {}),  # otherwise S3 answers 403 for a missing object
        ("task", "s3:ListBucket", "arn:aws:s3:::another-bucket"): (False, {}),
        ("task", "bedrock:InvokeModelWithResponseStream", PROFILE): (True, {}),
        ("task", "bedrock:InvokeModel", PROFILE.replace("sonnet", "opus")): (False, {}),
        ("task", "bedrock:InvokeModel", MODEL): (True, by_profile),
        ("task", "bedrock:InvokeModelWithResponseStream", MODEL): (False, {}),
        ("task", "bedrock:InvokeModel", MODEL.replace("us-west-2", "eu-west-1")): (False, by_profile),
        ("task", "bedrock:InvokeModel", MODEL.replace("sonnet", "opus")): (False, by_profile),
        ("task", "ecs:RunTask", f"{ecs}:task-definition/{project}:1"): (False, cluster),
        ("task", "iam:PassRole", f"{iam}/{project}-task"): (False, to_ecs),
        ("worker", "ecs:RunTask", f"{ecs}:task-definition/{project}:7"): (True, cluster),
        ("worker", "ecs:RunTask", f"{ecs}:task-definition/another:7"): (False, cluster),
        ("worker", "ecs:RunTask", f"{ecs}:task-definition/{project}-worker:7"): (False, cluster),
        ("worker", "ecs:RunTask", f"{ecs}:task-definition/{project}:8"): (False, {"ecs:cluster": f"{ecs}:cluster/x"}),
        ("worker", "ecs:RegisterTaskDefinition", f"{ecs}:task-definition/{project}:1"): (True, {}),
        ("worker", "ecs:RegisterTaskDefinition", f"{ecs}:task-definition/{project}-worker:1"): (False, {}),
        ("worker", "ecs:StopTask", f"{ecs}:task/{project}/0123"): (True, {}),
        ("worker", "ecs:StopTask", f"{ecs}:task/another/0123"): (False, {}),
        ("worker", "ecs:TagResource", f"{ecs}:task/{project}/0123"): (True, {"ecs:CreateAction": "RunTask"}),
        ("worker", "ecs:TagResource", f"{ecs}:task/{project}/4567"): (False, {}),
        ("worker", "iam:PassRole", f"{iam}/{project}-task"): (True, to_ecs),
        ("worker", "iam:PassRole", f"{iam}/{project}-execution"): (True, to_ecs),
        ("worker", "iam:PassRole", f"{iam}/{project}-worker"): (False, to_ecs),
        ("worker", "iam:PassRole", f"{iam}/admin"): (False, to_ecs),
        ("worker", "sqs:ReceiveMessage", f"arn:aws:sqs:{HERE}:{project}-tasks-events"): (True, {}),
        ("worker", "sqs:ReceiveMessage", f"arn:aws:sqs:{HERE}:another"): (False, {}),
        ("worker", "sqs:SendMessage", f"arn:aws:sqs:{HERE}:{project}-tasks-events"): (False, {}),
        ("worker", "logs:GetLogEvents", f"arn:aws:logs:{HERE}:log-group:{project}:log-stream:run/prefect/1"): (
            True,
            {},
        ),
        ("worker", "logs:GetLogEvents", f"arn:aws:logs:{HERE}:log-group:{project}:log-stream:worker/1"): (False, {}),
        ("worker", "secretsmanager:GetSecretValue", f"{git}-AbC123"): (False, {}),
        ("worker", "bedrock:InvokeModel", PROFILE): (False, {}),
    }


def test_each_role_may_do_its_job_and_nothing_else(created_project: CreatedProject) -> None:
    expected = rights(created_project.cloud.project)
    actual = {key: (allows(created_project, *key, context), context) for key, (_, context) in expected.items()}
    assert actual == expected


def test_the_worker_may_not_pass_a_role_to_another_service(created_project: CreatedProject) -> None:
    role = f"arn:aws:iam::123456789012:role/{created_project.cloud.project}-task"
    assert not allows(created_project, "worker", "iam:PassRole", role, {"iam:PassedToService": "lambda.amazonaws.com"})


def test_a_prefix_restricts_access_to_the_bucket(created_project: CreatedProject) -> None:
    output = created_project.cloud.run(
        "roles",
        "--secret-name",
        created_project.git,
        "--instructions-bucket",
        "another-bucket",
        "--instructions-prefix",
        "team/",
        "--dry-run",
    )
    assert "InstructionsBucket" in output
    assert "InstructionsPrefix: empty → team/" in output
