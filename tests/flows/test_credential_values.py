"""Credentials as operators store them: with white space around them, and with what no header can carry within."""

import pytest

from flows.credential_values import check_connection, check_environment, strip_environment, usable
from flows.errors import InvalidCredential
from flows.redaction import ENVIRONMENT

AROUND = ["\n", "\r\n", "\r", " ", "\t", "\x0b", "\xa0", "\u2028", "\ufeff", "\u200b", "\n \r\n"]
WITHIN = ["\n", "\r\n", " ", "\t", "\xa0", "\0", "\x1b", "\x7f", "é", "\u2013", "\u200b", "\ufeff", "\udcff", "键"]
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


@pytest.mark.parametrize("around", AROUND)
def test_white_space_around_a_credential_is_removed(around: str) -> None:
    for value in (f"the-key{around}", f"{around}the-key", f"{around}the-key{around}", "the-key"):
        assert usable(value, "the key", "a test") == "the-key"
    assert usable(around, "the key", "a test") == ""


@pytest.mark.parametrize("within", WITHIN)
def test_what_cannot_be_sent_is_refused_with_its_source_and_without_its_value(within: str) -> None:
    with pytest.raises(InvalidCredential) as raised:
        usable(f"hush{within}hash\n", "the key", "the variable KEY")
    assert "the key from the variable KEY" in str(raised.value)
    assert "store it again" in str(raised.value)
    assert not [part for part in ("hush", "hash") if part in str(raised.value)]


@pytest.mark.parametrize("name", [*ENVIRONMENT, *STRICT, *PROXIES, "ANTHROPIC_BASE_URL"])
def test_the_environment_is_stripped_for_everything_that_reads_it(name: str) -> None:
    environment = {name: "http://user:a-password@host:3128\r\n", "OTHER": "as it is\n"}
    strip_environment(environment)
    assert environment == {name: "http://user:a-password@host:3128", "OTHER": "as it is\n"}


@pytest.mark.parametrize("name", [*STRICT, *PROXIES])
@pytest.mark.parametrize("within", WITHIN)
def test_the_environment_is_refused_by_the_variables_name(name: str, within: str) -> None:
    with pytest.raises(InvalidCredential) as raised:
        check_environment({name: f"http://hush:hash{within}hosh@host"})
    assert name in str(raised.value)
    assert not [part for part in ("hush", "hash", "hosh") if part in str(raised.value)]


def test_a_password_that_is_sent_in_base64_may_hold_spaces_and_any_letter_but_is_one_line() -> None:
    environment = {"PREFECT_API_AUTH_STRING": "user:pâss word \n"}
    strip_environment(environment)
    check_environment(environment)
    assert environment == {"PREFECT_API_AUTH_STRING": "user:pâss word "}
    for within in ("\n", "\r", "\0", "\x1b"):
        with pytest.raises(InvalidCredential):
            check_environment({"PREFECT_API_AUTH_STRING": f"user:pass{within}word"})


def test_what_prefect_reads_can_be_checked_alone() -> None:
    check_connection({"AWS_SECRET_ACCESS_KEY": "two words"})
    for name in ("PREFECT_API_KEY", "https_proxy"):
        with pytest.raises(InvalidCredential):
            check_connection({name: "two words"})


def test_what_is_in_order_or_absent_passes() -> None:
    check_environment({})
    check_environment(
        {**dict.fromkeys(STRICT, "Ab+/=_-.:9"), "HTTPS_PROXY": "http://u:p%20w@[::1]:3128", "X_PROXY": " "}
    )
