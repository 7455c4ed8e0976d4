"""`up`, `status` and `down`, as one gives them, on an account and a Prefect server that have nothing yet."""

from collections.abc import Callable

import pytest

from tests.support.cloud import TOKEN, Cloud, Made

pytestmark = pytest.mark.xdist_group("aws")

KINDS = ("roles", "registry", "data", "cluster", "worker")


def test_a_dry_run_names_everything_and_changes_nothing(made: Made) -> None:
    assert made.after_dry_run == made.before
    for kind in KINDS:
        assert f"would create stack {made.cloud.project}-{kind}" in made.dry_run
    assert f"would create secret {made.cloud.project}/git" in made.dry_run
    assert (
        f"would build and push image 123456789012.dkr.ecr.us-east-1.amazonaws.com/{made.cloud.project}:v1"
        in made.dry_run
    )
    for name in ("work pool claude-code-ecs (ecs)", "work pool claude-code-local (process)"):
        assert f"would create {name}" in made.dry_run
    assert f"would create block s3-bucket/{made.cloud.project}" in made.dry_run
    for name in ("implement/ecs", "implement/nightly", "implement/local", "deliver/ecs", "deliver/local"):
        assert f"would create deployment {name}" in made.dry_run
    assert made.dry_run.replace("would ", "").count("create ") == made.up.count("create ")


def test_up_makes_it_and_up_again_finds_nothing_to_change(made: Made) -> None:
    project = made.cloud.project
    assert {name for name, _, _ in made.state["stacks"]} >= {f"{project}-{kind}" for kind in KINDS}
    assert {name for name, _, status in made.state["stacks"] if status == "CREATE_COMPLETE"}
    assert {f"{project}-{kind}" for kind in ("execution", "task", "worker")} <= set(made.state["roles"])
    assert made.again.splitlines()[-1] == "nothing to change"
    assert "create" not in made.again


def test_a_changed_option_changes_what_depends_on_it_and_no_more(made: Made) -> None:
    said = made.cloud.done(
        "up", "--tag", "v1", "--model-id", "eu.anthropic.other", "--secret-name", made.git, "--dry-run"
    )
    assert f"would update stack {made.cloud.project}-roles" in said
    assert (
        "foundation-model/anthropic.claude-sonnet-5-5 → arn:aws:bedrock:eu-*::foundation-model/anthropic.other" in said
    )
    assert said.count("would ") == 1


def test_the_results_are_kept_as_long_as_one_says(made: Made) -> None:
    given = ("pool", "--tag", "v1", *made.cloud.network, "--dry-run")
    assert "~ ResultsDays: 90 → 30" in made.cloud.done(*given, "--results-days", "30")
    assert made.cloud.done(*given).endswith("\nnothing to change\n")


def test_status_shows_each_part(made: Made) -> None:
    said = made.cloud.done("status", "--secret-name", made.git)
    assert said.count("CREATE_COMPLETE") == len(KINDS)
    assert "1, the newest is v1" in said
    assert "0 of 1 running" in said
    assert "missing" not in said


def test_status_of_nothing_says_so(cloud: Cloud) -> None:
    assert cloud.done("status", "--secret-name", "no/such").count("missing") >= len(KINDS) + 3


def test_down_removes_what_up_made_and_asks_first(make_cloud: Callable[[], Cloud], made: Made) -> None:
    cloud = make_cloud()
    before = cloud.state()
    cloud.done(*cloud.up, "--no-worker", stdin=f"{TOKEN}\n")
    ours = ("--secret-name", cloud.git)
    bucket = f"{cloud.project}-results-123456789012-us-east-1"
    cloud.client("s3").put_object(Bucket=bucket, Key="claude-code-headless/run/report.md", Body=b"kept")
    there = cloud.state()
    assert cloud("down", *ours, stdin="n\n").exit_code == 1
    assert f"would delete stack {cloud.project}-cluster" in cloud.done("down", *ours, "--dry-run")
    assert cloud.state() == there
    said = cloud.done("down", "--yes", *ours)
    assert "delete deployment implement/nightly" in said
    assert f"delete block s3-bucket/{cloud.project}" in said
    assert "the buckets hold something and stay" in said
    assert cloud.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    assert "delete for good" in cloud.done("down", "--yes", *ours, "--aws-only", "--delete-data")
    assert cloud.state() == {**before, "deployments": {}, "pools": {}}
    assert cloud.done("down", "--yes", *ours) == "nothing to change\n"
    made.cloud.done("up", "--tag", "v1", "--secret-name", made.git, *made.cloud.network)  # the pools are one server's
    assert cloud.state()["deployments"].keys() == before["deployments"].keys()
