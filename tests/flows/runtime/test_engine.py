"""The engine's process ends with a named error if the Prefect API could not be reached with its settings."""

import pytest

from flows.runtime.engine import prepare_environment


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("PREFECT_API_KEY", "a b\nc", "InvalidCredential"),
        ("PREFECT_API_URL", "127.0.0.1:4200/api", "InvalidEndpoint"),
        ("HTTPS_PROXY", "http://proxy example.com", "InvalidCredential"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem", "InvalidCertificates"),
    ],
)
def test_a_setting_that_cannot_be_used_ends_the_process_with_its_name(
    variable: str, value: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit, match=name):
        prepare_environment()
