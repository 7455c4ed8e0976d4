"""Credentials as operators store them: with white space around them, or with characters that no header can carry."""

import pytest

from flows.credential_values import check_connection, check_environment, strip_environment, usable
from flows.errors import InvalidCredential, InvalidEndpoint
from flows.redaction import ENVIRONMENT, Secrets

WHITE_SPACE = ["\n", "\r\n", "\r", " ", "\t", "\x0b", "\xa0", "\u2028", "\ufeff", "\u200b", "\n \r\n"]
UNSENDABLE = ["\n", "\r\n", " ", "\t", "\xa0", "\0", "\x1b", "\x7f", "é", "\u2013", "\u200b", "\ufeff", "\udcff", "键"]
STRICT = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PREFECT_API_KEY")
PROXIES = (
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "Https_Proxy",
    "WSS_PROXY",
)


@pytest.mark.parametrize("white_space", WHITE_SPACE)
def test_white_space_around_a_credential_is_removed(white_space: str) -> None:
    for value in (f"the-key{white_space}", f"{white_space}the-key", f"{white_space}the-key{white_space}", "the-key"):
        assert usable(value, "the key", "a test") == "the-key"
    assert usable(white_space, "the key", "a test") == ""


@pytest.mark.parametrize(
    "value", ['"sk-ant-key-of-this-test"', "'sk-ant-key-of-this-test'", ' "sk-ant-key-of-this-test"\n']
)
def test_quotes_around_a_credential_are_removed_and_the_rest_is_redacted(value: str) -> None:
    assert usable(value, "the key", "the file") == "sk-ant-key-of-this-test"
    secrets = Secrets()
    secrets.learn("the key", value)
    assert secrets.redact("the key is sk-ant-key-of-this-test") == "the key is ***"
    environment = {
        "AWS_PROFILE": "'team'",
        "PREFECT_API_URL": '"http://127.0.0.1/api"',
        "PREFECT_API_AUTH_STRING": value,
    }
    strip_environment(environment)
    assert environment["AWS_PROFILE"] == "team"
    assert environment["PREFECT_API_URL"] == "http://127.0.0.1/api"
    assert "'" not in environment["PREFECT_API_AUTH_STRING"]


@pytest.mark.parametrize("character", UNSENDABLE)
def test_the_error_for_an_unusable_credential_names_the_source_but_not_the_value(character: str) -> None:
    with pytest.raises(InvalidCredential) as raised:
        usable(f"hush{character}hash\n", "the key", "the variable KEY")
    assert "the key from the variable KEY" in str(raised.value)
    assert "store it again" in str(raised.value)
    assert not [fragment for fragment in ("hush", "hash") if fragment in str(raised.value)]


@pytest.mark.parametrize("name", [*ENVIRONMENT, *STRICT, *PROXIES, "ANTHROPIC_BASE_URL"])
def test_credentials_in_the_environment_are_stripped(name: str) -> None:
    environment = {name: "http://user:a-password@host:3128\r\n", "OTHER": "as it is\n"}
    strip_environment(environment)
    assert environment == {name: "http://user:a-password@host:3128", "OTHER": "as it is\n"}


@pytest.mark.parametrize("name", [*STRICT, *PROXIES])
@pytest.mark.parametrize("character", UNSENDABLE)
def test_the_error_for_the_environment_names_the_variable(name: str, character: str) -> None:
    with pytest.raises(InvalidCredential) as raised:
        check_environment({name: f"http://hush:hash{character}hosh@host"})
    assert name in str(raised.value)
    assert not [fragment for fragment in ("hush", "hash", "hosh") if fragment in str(raised.value)]


def test_a_password_that_is_sent_in_base64_may_contain_spaces_and_any_letter_but_no_line_break() -> None:
    environment = {"PREFECT_API_AUTH_STRING": "user:pâss word \n"}
    strip_environment(environment)
    check_environment(environment)
    assert environment == {"PREFECT_API_AUTH_STRING": "user:pâss word "}
    for character in ("\n", "\r", "\0", "\x1b"):
        with pytest.raises(InvalidCredential):
            check_environment({"PREFECT_API_AUTH_STRING": f"user:pass{character}word"})


def test_prefects_own_credentials_can_be_checked_alone() -> None:
    check_connection({"AWS_SECRET_ACCESS_KEY": "two words"})
    for name in ("PREFECT_API_KEY", "https_proxy"):
        with pytest.raises(InvalidCredential):
            check_connection({name: "two words"})


def test_valid_and_missing_credentials_pass() -> None:
    check_environment({})
    check_environment(
        {**dict.fromkeys(STRICT, "Ab+/=_-.:9"), "HTTPS_PROXY": "http://u:p%20w@[::1]:3128", "X_PROXY": " "}
    )


@pytest.mark.parametrize(
    ("variable", "address", "url"),
    [
        ("AWS_ENDPOINT_URL_S3", "localhost:4566", "http://localhost:4566"),
        ("AWS_ENDPOINT_URL", "minio.example.com", "https://minio.example.com"),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "//vpce-1.example.com/", "https://vpce-1.example.com/"),
        ("ANTHROPIC_BASE_URL", "127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1"),
        ("ANTHROPIC_BASE_URL", "htp://proxy.example.com", "https://proxy.example.com"),
        ("PREFECT_API_URL", "prefect.example.com:4200/api", "https://prefect.example.com:4200/api"),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://", "https://host:port"),
        ("AWS_ENDPOINT_URL_S3", "http:/x", "https://x"),
    ],
)
def test_an_address_that_is_not_a_url_is_refused_with_the_url_to_use(variable: str, address: str, url: str) -> None:
    with pytest.raises(InvalidEndpoint) as caught:
        check_environment({variable: address})
    assert str(caught.value) == f"{variable} is {address!r}, which is not a URL: set it to {url}"


def test_an_address_with_a_password_is_not_quoted() -> None:
    with pytest.raises(InvalidEndpoint) as caught:
        check_environment({"ANTHROPIC_BASE_URL": "user:hunter2@proxy.example.com"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:4566", "https://user:password@proxy.example.com/v1/", "https://[::1]:8443", "HTTPS://host", ""],
)
def test_urls_of_servers_pass(url: str) -> None:
    check_environment({"AWS_ENDPOINT_URL": url, "ANTHROPIC_BASE_URL": url, "PREFECT_API_URL": url})
