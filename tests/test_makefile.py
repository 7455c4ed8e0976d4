"""The make targets that users type, as the documentation has them."""

import os
import subprocess
import sys
from pathlib import Path

import httpx

from deployments.local.stack import LocalStack

PROJECT = Path(__file__).parents[1]


def make(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run make with the programs of this Python environment, without creating another environment."""
    command = ["make", "--old-file=.venv/ready", f"BIN={Path(sys.executable).parent}", *arguments]
    return subprocess.run(
        command, cwd=PROJECT, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )


def test_make_blocks_registers_the_block_types_from_a_checkout(stack: LocalStack) -> None:
    process = make("blocks", PREFECT_API_URL=stack.prefect_api_url)
    assert process.returncode == 0, process.stdout + process.stderr
    types = httpx.post(f"{stack.prefect_api_url}/block_types/filter", json={}, trust_env=False).json()
    assert {"Claude Code", "Git Credentials"} <= {block_type["name"] for block_type in types}


def test_make_test_one_runs_the_named_tests() -> None:
    process = make("test-one", "T=tests/flows/test_errors.py -q -p no:cacheprovider")
    assert process.returncode == 0, process.stdout + process.stderr
    assert "passed" in process.stdout


def test_make_test_one_without_a_name_explains_its_use() -> None:
    process = make("test-one")
    assert process.returncode != 0
    assert "make test-one T=" in process.stdout


def test_make_help_lists_the_documented_targets() -> None:
    output = make("help").stdout
    for target in ("demo", "test", "test-one", "format", "check", "blocks", "bench"):
        assert f"\n{target} " in f"\n{output}", target
