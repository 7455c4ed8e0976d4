"""The files of the templates: every parameter is described, and no resource has more rights or access than it needs."""

import json
from pathlib import Path
from typing import Any

import cfnlint
import pytest

from deployments.aws.template import FOLDER, parse, text

KINDS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
AWS_ACTIONS = json.loads((Path(cfnlint.__file__).parent / "data/AdditionalSpecs/Policies.json").read_text())

ALLOWED_WILDCARDS = {
    ("ExecutionRole", "RegistryLogin"): ["ecr:GetAuthorizationToken"],
    ("WorkerRole", "DescribeTaskDefinition"): ["ecs:DescribeTaskDefinition"],
    ("WorkerRole", "DescribeNetwork"): ["ec2:DescribeSubnets", "ec2:DescribeVpcs"],
}
"""Every statement that may have the resource "*", with its actions, for which AWS supports no other resource."""


def many(value: Any) -> list[Any]:  # noqa: ANN401 (any value of a template)
    return value if isinstance(value, list) else [value]


def unconditional(statement: dict[str, Any]) -> dict[str, Any]:
    """Return a statement as it is if its condition holds."""
    return dict(statement["Fn::If"][1]) if "Fn::If" in statement else statement


def statements(kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Return each statement of each policy in a template, with the name of the resource that has it."""
    actual = []
    for name, resource in parse(text(kind))["Resources"].items():
        properties = resource.get("Properties", {})
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        documents += [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
        actual += [(name, unconditional(s)) for document in documents for s in document["Statement"]]
    return actual


def resource_levels(action: str) -> list[str]:
    """Return the kinds of resources that an action supports, according to AWS's reference."""
    service, name = action.split(":")
    actions = {key.lower(): value for key, value in AWS_ACTIONS[service]["Actions"].items()}
    return list(actions[name.lower()].get("Resources", []))


def property_of(kind: str, of_type: str) -> list[dict[str, Any]]:
    return [r["Properties"] for r in parse(text(kind))["Resources"].values() if r["Type"] == of_type]


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_and_output_is_described(kind: str) -> None:
    template = parse(text(kind))
    for part in (*template["Parameters"].values(), *template.get("Outputs", {}).values()):
        assert len(part["Description"]) > 10


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_project_name_is_the_same_in_every_template(kind: str) -> None:
    assert parse(text(kind))["Parameters"]["ProjectName"]["Default"] == "claude-code-headless"


def test_each_wildcard_is_required_by_aws_and_gives_its_reason() -> None:
    actual = {}
    for kind in KINDS:
        for name, statement in statements(kind):
            if statement["Effect"] == "Allow" and "*" in many(statement["Resource"]):
                actual[name, statement["Sid"]] = sorted(many(statement["Action"]))
                reasons = parse(text(kind))["Resources"][name]["Metadata"]["Wildcards"]
                assert all(action in reasons[statement["Sid"]] for action in many(statement["Action"]))
    assert actual == ALLOWED_WILDCARDS
    assert [resource_levels(a) for actions in ALLOWED_WILDCARDS.values() for a in actions] == [[], [], [], []]


def test_no_statement_allows_all_actions_of_a_kind_or_all_resources_of_a_kind() -> None:
    count = 0
    for kind in KINDS:
        for name, statement in statements(kind):
            if statement["Effect"] == "Deny":
                continue
            count += 1
            assert not [action for action in many(statement["Action"]) if "*" in action], (name, statement)
            for resource in many(statement["Resource"]):
                sub = resource.get("Fn::Sub", "") if isinstance(resource, dict) else resource
                assert not sub or sub == "*" or "${" in sub.rpartition(":")[2] or "${ProjectName}" in sub, sub
    assert count == 22


def test_only_tasks_of_the_account_can_assume_the_roles() -> None:
    for role in property_of("roles", "AWS::IAM::Role"):
        [trust] = role["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
        assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
        assert "ManagedPolicyArns" not in role


def test_buckets_are_private_encrypted_versioned_and_cleaned_up() -> None:
    buckets = property_of("data", "AWS::S3::Bucket")
    assert len(buckets) == 2
    for bucket in buckets:
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4
        [rule] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
        assert any("NoncurrentVersionExpiration" in rule for rule in bucket["LifecycleConfiguration"]["Rules"])


@pytest.mark.parametrize(("kind", "policies"), [("data", 2), ("cluster", 1)])
def test_buckets_and_the_queue_are_accessible_only_by_tls(kind: str, policies: int) -> None:
    denied = [s for _, s in statements(kind) if s["Effect"] == "Deny"]
    assert len(denied) == policies
    for statement in denied:
        assert statement["Principal"] == "*"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_registry_scans_images_keeps_tags_immutable_and_expires_old_images() -> None:
    [repository] = property_of("registry", "AWS::ECR::Repository")
    assert repository["ImageTagMutability"] == "IMMUTABLE"
    assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
    rules = json.loads(repository["LifecyclePolicy"]["LifecyclePolicyText"]["Fn::Sub"].replace("${ImagesKept}", "10"))
    assert [rule["action"] for rule in rules["rules"]] == [{"type": "expire"}] * 2


def test_the_queue_accepts_only_this_rule_and_the_rule_only_this_cluster() -> None:
    [allowed] = [s for _, s in statements("cluster") if s["Effect"] == "Allow"]
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["TaskStateChanges", "Arn"]}}}
    [rule] = property_of("cluster", "AWS::Events::Rule")
    assert rule["EventPattern"]["detail"] == {"clusterArn": [{"Fn::GetAtt": ["Cluster", "Arn"]}]}
    assert rule["EventPattern"]["detail-type"] == ["ECS Task State Change"]
    [queue] = property_of("cluster", "AWS::SQS::Queue")
    assert queue["SqsManagedSseEnabled"] is True
    assert parse(text("cluster"))["Parameters"]["QueueName"]["Default"] == "prefect-ecs-tasks-events"


def test_the_cluster_offers_spot_and_on_demand_and_its_logs_expire() -> None:
    [providers] = property_of("cluster", "AWS::ECS::ClusterCapacityProviderAssociations")
    assert providers["CapacityProviders"] == ["FARGATE", "FARGATE_SPOT"]
    [group] = property_of("cluster", "AWS::Logs::LogGroup")
    assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_the_worker_has_no_public_address_and_no_secret_in_its_environment() -> None:
    assert parse(text("worker"))["Parameters"]["AssignPublicIp"]["Default"] == "DISABLED"
    [task] = property_of("worker", "AWS::ECS::TaskDefinition")
    [container] = task["ContainerDefinitions"]
    assert {pair["Name"] for pair in container["Environment"]} == {
        "PREFECT_API_URL",
        "PREFECT_INTEGRATIONS_AWS_ECS_OBSERVER_SQS_QUEUE_NAME",
        "AWS_DEFAULT_REGION",
    }
    assert [s["Fn::If"][1]["Name"] for s in container["Secrets"]] == ["PREFECT_API_KEY", "PREFECT_API_AUTH_STRING"]
    assert container["Command"][:3] == ["prefect", "worker", "start"]


def test_only_the_tasks_can_reach_the_endpoints() -> None:
    [group] = property_of("endpoints", "AWS::EC2::SecurityGroup")
    [rule] = group["SecurityGroupIngress"]
    assert (rule["FromPort"], rule["ToPort"], rule["SourceSecurityGroupId"]) == (443, 443, {"Ref": "TaskSecurityGroup"})
    services = [
        e["ServiceName"]["Fn::Sub"].partition("}.")[2] for e in property_of("endpoints", "AWS::EC2::VPCEndpoint")
    ]
    assert {"s3", "bedrock-runtime", "secretsmanager", "ecr.api", "ecr.dkr", "logs", "ecs", "ec2", "sqs"} == set(
        services
    )


def test_results_expire_and_their_replaced_versions_expire_sooner() -> None:
    template = parse(text("data"))
    rules = {
        r["Id"]: r for r in template["Resources"]["ResultsBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    }
    assert all(rule["Status"] == "Enabled" for rule in rules.values())
    assert rules["results"]["ExpirationInDays"] == {"Ref": "ResultsDays"}
    assert rules["replaced"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": {"Ref": "ReplacedDays"}}
    assert template["Parameters"]["ReplacedDays"]["Default"] < template["Parameters"]["ResultsDays"]["Default"]
