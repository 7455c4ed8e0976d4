"""`python -m deployments.local.serve`: its help, its messages, and the errors before it serves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]


def serve(home: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.run(
        [sys.executable, "-m", "deployments.local.serve", *arguments],
        env={**environment, "PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", **variables},
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_help_names_the_deployments_and_the_prefect_api(tmp_path: Path) -> None:
    process = serve(tmp_path, "--help")
    assert process.returncode == 0, process.stderr
    for name in ("implement/local", "deliver/local", "follow_up/local", "PREFECT_API_URL"):
        assert name in process.stdout


@pytest.mark.parametrize("argument", ["--nonsense", "implement"])
def test_an_unknown_argument_is_refused(tmp_path: Path, argument: str) -> None:
    process = serve(tmp_path, argument)
    assert process.returncode == 2
    assert argument in process.stderr


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "NoPrefectApi: no Prefect API is configured: set PREFECT_API_URL"),
        (
            {"PREFECT_API_URL": "http://127.0.0.1:9/api"},
            "NoPrefectApi: the Prefect API http://127.0.0.1:9/api does not",
        ),
    ],
)
def test_it_does_not_start_a_temporary_server(tmp_path: Path, variables: dict[str, str], message: str) -> None:
    process = serve(tmp_path, **variables)
    assert process.returncode == 1
    assert message in process.stderr
    assert "Traceback" not in process.stderr
    assert not list(tmp_path.glob("prefect.db*"))
