"""A run behind a company's proxy and with its CA certificates: what its agent gets, and what is refused at once."""

from collections.abc import Callable

import pytest

from flows.errors import InvalidCertificates
from tests.support.runs import Run
from tests.support.world import World

PASSWORD = "password-of-a-proxy"


def test_the_agent_gets_the_proxy_without_a_password_and_the_log_names_the_other_one(
    world: World, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://team:{PASSWORD}@127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    world.shell("env | cut -d= -f1 | sort > {cwd}/names.txt")
    delivery = run().delivered()
    names = set(world.content(delivery.branch, "names.txt").splitlines())
    assert {"HTTP_PROXY", "NO_PROXY", "USER", "LOGNAME"} <= names
    assert "HTTPS_PROXY" not in names
    assert "the agent's commands do not get HTTPS_PROXY" in caplog.text
    assert PASSWORD not in caplog.text


def test_a_file_of_certificates_that_does_not_exist_fails_the_run_before_anything_is_paid(
    world: World, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CERT", "/nowhere/ca.pem")
    finished_run = run()
    assert type(finished_run.error) is InvalidCertificates
    assert "PIP_CERT is '/nowhere/ca.pem'" in str(finished_run.error)
    assert world.stack.model.requests == []
    assert world.stack.git.requests == []
