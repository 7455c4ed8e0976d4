"""The make targets that people type, as they are written in the documentation."""

import os
import subprocess
import sys
from pathlib import Path

import httpx

from deployments.local.stack import LocalStack

PROJECT = Path(__file__).parents[1]


def make(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run make with the programs of this Python environment, without making one."""
    command = ["make", "--old-file=.venv/ready", f"BIN={Path(sys.executable).parent}", *arguments]
    return subprocess.run(
        command, cwd=PROJECT, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )


def test_blocks_registers_our_block_types_in_a_checkout(stack: LocalStack) -> None:
    process = make("blocks", PREFECT_API_URL=stack.prefect_api_url)
    assert process.returncode == 0, process.stdout + process.stderr
    types = httpx.post(f"{stack.prefect_api_url}/block_types/filter", json={}, trust_env=False).json()
    assert {"Claude Code", "Git Credentials"} <= {block_type["name"] for block_type in types}


def test_one_test_can_be_run_by_its_name() -> None:
    process = make("test-one", "T=tests/flows/test_errors.py -q -p no:cacheprovider")
    assert process.returncode == 0, process.stdout + process.stderr
    assert "passed" in process.stdout


def test_to_run_one_test_it_has_to_be_named() -> None:
    process = make("test-one")
    assert process.returncode != 0
    assert "make test-one T=" in process.stdout


def test_help_lists_every_target_that_has_a_sentence() -> None:
    shown = make("help").stdout
    for target in ("demo", "test", "test-one", "format", "check", "blocks", "bench"):
        assert f"\n{target} " in f"\n{shown}", target
