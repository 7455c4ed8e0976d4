"""Known secrets are found in every form in which text can contain them, and so are the shapes of secrets."""

import base64
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from html import escape
from urllib.parse import quote, quote_plus, unquote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flows.errors import GitFailed
from flows.redaction import ENVIRONMENT, REDACTED, SECRETS, Secrets, findings_in, redact, strip
from flows.redaction.forms import encoded_forms_of, forms_of
from flows.redaction.known import _GAP

VALUES = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=8, max_size=60)


def registry_with(value: str) -> Secrets:
    secrets = Secrets()
    secrets.learn("it", value)
    return secrets


@given(VALUES, st.text(max_size=20), st.text(max_size=20))
def test_a_known_secret_is_found_and_redacted_anywhere_in_a_text(value: str, before: str, after: str) -> None:
    secrets, text = registry_with(value), f"{before}{value}{after}"
    assert secrets.found_in(text) == {"it"}
    assert value not in secrets.redact(text).replace(REDACTED, "\0")


@given(VALUES, st.binary(max_size=7), st.binary(max_size=7))
def test_base64_hides_no_secret_at_any_offset(value: str, before: bytes, after: bytes) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert registry_with(value).found_in(encode(before + value.encode() + after).decode()) == {"it"}


@pytest.mark.parametrize("half", [0xD83D, 0xDE00, 0xDCFF])
def test_a_secret_with_half_of_a_surrogate_pair_is_redacted_like_any_other(half: int) -> None:
    value = f"a-secret{chr(half)}value"
    assert redact(value) == value
    assert registry_with(value).redact(f"<{value}>") == f"<{REDACTED}>"


VALUE = 'a/secret+with "marks" & <signs>% \'é\\ü'


@pytest.mark.parametrize("around", ["", "\n", "\r\n", " ", "\t", "\xa0", "\ufeff", "\u200b"])
@pytest.mark.parametrize(
    "form",
    [
        str,
        lambda v: quote(v, safe=""),
        quote,
        quote_plus,
        lambda v: re.sub("%..", lambda code: code[0].lower(), quote(v, safe="")),
        lambda v: json.dumps({"token": v}),
        lambda v: json.dumps({"token": v}, ensure_ascii=False),
        lambda v: json.dumps({"event": json.dumps({"token": v})}),
        lambda v: json.dumps({"token": v}).replace("/", "\\/"),
        lambda v: json.dumps({"token": v}).replace("\\u00e9", "\\u00E9").replace("\\u00fc", "\\u00FC"),
        lambda v: re.sub("[<>&]", lambda mark: f"\\u{ord(mark[0]):04x}", json.dumps(v, ensure_ascii=False)),
        repr,
        ascii,
        lambda v: repr({"key": [v]}),
        lambda v: repr(v.encode()),
        lambda v: str(ValueError(f"Illegal header value {v.encode()!r}")),
        lambda v: json.dumps(repr(v.encode())),
        escape,
        lambda v: escape(v).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
        lambda v: escape(v).replace("&#x27;", "&apos;"),
        lambda v: escape(v, quote=False),
        lambda v: quote(v, safe="!*'()"),
        lambda v: quote(v, safe=";,/?:@&=+$-_.!~*'()#"),
        lambda v: v.encode().hex(),
        lambda v: v.encode().hex().upper(),
        lambda v: v.encode().decode("latin-1"),
        lambda v: base64.b64encode(f"x-access-token:{v}".encode()).decode(),
    ],
)
def test_no_other_form_hides_a_secret(form: Callable[[str], str], around: str) -> None:
    for secrets, value in (
        (registry_with(VALUE), f"{VALUE}{around}"),
        (registry_with(f"{around}{VALUE}{around}"), VALUE),
    ):
        text = f"see {form(value)} there"
        assert secrets.found_in(text) == {"it"}
        assert "secret" not in secrets.redact(text)


LONG_VALUE = "".join(f"part{number}/" for number in range(40))


def broken(text: str, width: int, end: str) -> str:
    return end.join(text[at : at + width] for at in range(0, len(text), width))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\\n", "\\\\r\\\\n", "\n    ", " \n"])
@pytest.mark.parametrize("width", [60, 64, 70, 76])
@pytest.mark.parametrize("value", [VALUE, LONG_VALUE])
@pytest.mark.parametrize("encode", [base64.b64encode, lambda content: content.hex().encode()], ids=["base64", "hex"])
def test_lines_hide_no_encoded_secret(encode: Callable[[bytes], bytes], value: str, width: int, end: str) -> None:
    secrets = registry_with(value)
    for before in range(0, 60, 7):
        text = f"see {broken(encode(b'.' * before + value.encode() + b'...').decode(), width, end)} there"
        assert secrets.found_in(text) == {"it"}
        clean = secrets.redact(text)
        assert REDACTED in clean
        joined = re.sub(r"\\+[nr]|\s", "", clean)
        core = encode(value.encode()[3:-6]).decode().rstrip("=")
        assert not any(core[at : at + 12] in joined for at in range(0, len(core) - 12, 4))
        assert clean.startswith("see ")
        assert clean.endswith(" there")


def test_one_line_of_a_secret_with_many_lines_is_redacted() -> None:
    lines = ["-----BEGIN PRIVATE KEY-----", "aB3/" * 16, "cD4+" * 16, "eF5=", "-----END PRIVATE KEY-----"]
    secrets = registry_with("\n".join(lines))
    assert secrets.redact(f"line 2: {lines[1]}") == f"line 2: {REDACTED}"
    assert secrets.redact(f'["{lines[2]}"]') == f'["{REDACTED}"]'
    assert secrets.redact(f"no secrets: {lines[3]} {lines[0]}") == f"no secrets: {lines[3]} {lines[0]}"


@pytest.mark.parametrize("text", ["abcdefghijkl", "xabcdefghijklx", "abcdefghijabcdefghijkl", "cdefghijklcdefghijkl"])
def test_nothing_remains_of_secrets_that_overlap(text: str) -> None:
    clean = registry_with_all(["abcdefghij", "cdefghijkl", "fghijkl-and-more"]).redact(text)
    assert not set("abcdefghijkl") & set(clean)


def test_a_secret_is_redacted_in_utf_8_bytes() -> None:
    assert registry_with(VALUE).redact_bytes(f"see {VALUE} there".encode()) == b"see *** there"


@pytest.mark.parametrize("print_all", ["set", "export -p", "declare -p", "env"])
@pytest.mark.parametrize("value", ["p&ss'w/ord-1234", 'a"b$c`d\\e-1234', "it's''12345", 'both\'s "$1234"'])
def test_what_a_shell_prints_of_its_variables_is_redacted(value: str, print_all: str) -> None:
    secrets = registry_with(value)
    bash = ["bash", "--norc", "-c", print_all]
    output = subprocess.run(bash, env={"TOKEN": value}, capture_output=True, text=True, check=True).stdout
    [line] = [line for line in output.splitlines() if "TOKEN=" in line]
    for text in (line, json.dumps(line), json.dumps({"content": line}, ensure_ascii=False)):
        remainder = secrets.redact(text).partition("TOKEN=")[2]
        assert REDACTED in remainder
        assert not re.search(r"\w", remainder.replace(REDACTED, "")), text


def test_the_value_of_a_variable_that_is_not_utf_8_is_redacted() -> None:
    secrets = Secrets()
    secrets.learn_environment({"ANTHROPIC_API_KEY": b"a-secret-\xff\xfe".decode("utf-8", "surrogateescape")})
    assert secrets.redact_bytes(b"see a-secret-\xff\xfe there") == b"see *** there"


@pytest.mark.parametrize(
    "name", ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy", "Http_Proxy", "wss_proxy"]
)
@pytest.mark.parametrize("url", ["http://team:{}@proxy:3128", "socks5h://team:{}@[::1]:1080/\n", "team:{}@proxy:3128"])
@pytest.mark.parametrize("password", ["pass-word", "p%40ss-w%C3%B6rd", "p@ss/wo:rd"])
def test_the_password_of_a_proxy_is_known_both_percent_encoded_and_decoded(name: str, url: str, password: str) -> None:
    secrets = Secrets()
    secrets.learn_environment({name: url.format(password)})
    basic = base64.b64encode(f"team:{unquote(password)}".encode()).decode()
    for text in (password, unquote(password), quote(unquote(password), safe=""), basic):
        assert secrets.found_in(f"see {text} there") == {f"the password in {name}"}, text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANTHROPIC_BASE_URL", "https://team:pass-word@gateway.example.com"),
        ("PREFECT_API_DATABASE_CONNECTION_URL", "postgresql+asyncpg://prefect:pass-word@db/prefect"),
        ("PREFECT_API_AUTH_STRING", "admin:pass-word\n"),
    ],
)
def test_the_password_within_another_variable_is_known(name: str, value: str) -> None:
    secrets = Secrets()
    secrets.learn_environment({name: value})
    assert secrets.found_in("see pass-word there") == {f"the password in {name}"}


@pytest.mark.parametrize(
    "url", ["http://proxy:3128", "http://[::1]:3128/", "", "\n", "http://user@proxy", "http://:@proxy"]
)
def test_a_proxy_without_a_password_redacts_nothing(url: str) -> None:
    secrets = Secrets()
    secrets.learn_environment({"HTTPS_PROXY": url, "NO_PROXY": "user:password@host"})
    assert (
        secrets.redact("http://proxy:3128 http://[::1]:3128/a user host")
        == "http://proxy:3128 http://[::1]:3128/a user host"
    )


def test_short_and_empty_values_are_ignored() -> None:
    secrets = Secrets()
    for value in ("", None, "short"):
        secrets.learn("it", value)
    assert secrets.found_in("short") == set()
    assert secrets.redact("short") == "short"


def test_a_search_returns_the_names_of_the_secrets() -> None:
    secrets = Secrets()
    secrets.learn_environment(
        {"AWS_SECRET_ACCESS_KEY": "first-secret", "PREFECT_API_KEY": "second-secret", "A": "not-a-secret"}
    )
    assert secrets.found_in("second-secret not-a-secret") == {"PREFECT_API_KEY"}
    assert secrets.found_in("first-secret second-secret") == {"PREFECT_API_KEY", "AWS_SECRET_ACCESS_KEY"}
    assert "ANTHROPIC_API_KEY" in ENVIRONMENT


@pytest.mark.parametrize(
    "text",
    [
        "ghp_" + "a1B2" * 9,
        "github_pat_" + "a1B2_" * 16,
        "glpat-" + "a1B2-" * 4,
        "AKIA" + "Q2" * 8,
        "sk-ant-api03-" + "aB3_" * 20,
        "pnu_" + "a1" * 18,
        "xoxb-" + "1" * 12 + "-abc",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLW9m",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7\nabc\n-----END RSA PRIVATE KEY-----",
        "ATBB" + "a1" * 16,
    ],
)
def test_text_in_the_shape_of_a_token_is_redacted(text: str) -> None:
    assert redact(f"before {text} after") == "before *** after"


def test_the_text_around_a_password_is_unchanged() -> None:
    assert redact("https://user:pass-word@example.com/x") == "https://***@example.com/x"
    assert redact("authorization: Bearer abcdefghijkl") == "authorization: Bearer ***"


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com:8080/a@b",
        "feature/claude-implementation-20261123-120000-0a1b2c3d",
        "a commit " + "0123456789" * 4,
        "pip install glpat",
        "-----BEGIN CERTIFICATE-----",
        "git@github.com:owner/repository.git",
    ],
)
def test_ordinary_text_is_unchanged(text: str) -> None:
    assert redact(text) == text


@given(st.binary(max_size=200))
def test_bytes_that_are_not_text_are_unchanged_except_for_secrets(content: bytes) -> None:
    assert registry_with("a-known-secret").redact_bytes(content) == content
    assert registry_with("a-known-secret").redact_bytes(content + b"a-known-secret") == content + b"***"


def by_marking(values: Iterable[str], content: bytes) -> bytes:
    """Redact `content` by a simple reference algorithm: mark what a form of a secret or a shape covers."""
    covered = {byte for finding in findings_in(content) for byte in range(finding.start, finding.end)}
    places = [match.start() for match in re.finditer(rb"(?s).", content)]
    for value in (value for value in map(strip, values) if len(value) >= 8):
        encoded = {form.encode() for form in encoded_forms_of(value)}
        for form in {form.encode("utf-8", "surrogatepass") for form in forms_of(value)} | encoded:
            for start in places:
                if content.startswith(form, start):
                    covered.update(range(start, start + len(form)))
    marked = b"".join(b"\0" if place in covered else content[place : place + 1] for place in places)
    return re.sub(b"\0+", REDACTED.encode(), marked)


LETTERS = st.text(st.sampled_from("ab/+ é😀"), min_size=8, max_size=12)
PIECES = st.sampled_from(
    ["ghp_" + "a" * 30, "AKIA" + "Q" * 16, "AKIA", "eyJ" + "a" * 10, ".", "://", "a:b", "@", "uthorization: Bearer "]
)


@st.composite
def secrets_and_text(draw: st.DrawFn) -> tuple[list[str], str]:
    """Return secrets of few letters, some of them prefixes of others, and a text of their forms, complete and cut."""
    values = draw(st.lists(LETTERS, max_size=4))
    values += [value + draw(st.text("ab", max_size=3)) for value in values]
    forms = [form for value in values for form in forms_of(value)]
    parts = [PIECES, st.text("ab/+ é😀"), st.text(max_size=5), st.text("\udc80\udcff a", max_size=3)]
    if forms:
        form = st.sampled_from(forms)
        parts += [form, st.builds(lambda text, length: text[:length], form, st.integers(1, 12))]
    return values, "".join(draw(st.lists(st.one_of(parts), max_size=12)))


def registry_with_all(values: Iterable[str]) -> Secrets:
    secrets = Secrets()
    for value in values:
        secrets.learn(value, value)
    return secrets


@given(secrets_and_text())
def test_all_that_a_secret_or_a_shape_covers_is_redacted(case: tuple[list[str], str]) -> None:
    values, text = case
    content = text.encode("utf-8", "surrogatepass").replace(b"\0", b"")
    expected = by_marking(values, content)
    assume(not _GAP.search(content))
    text = content.decode("utf-8", "surrogatepass")
    assert registry_with_all(values).redact(text).encode("utf-8", "surrogatepass") == expected
    if all(value.isascii() for value in values):
        assert registry_with_all(values).redact_bytes(content) == expected


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_secret_that_is_not_ascii_is_redacted_in_bytes_of_either_encoding(encoding: str) -> None:
    content = "before pässwörd-ä after".encode(encoding)
    assert registry_with("pässwörd-ä").redact_bytes(content) == b"before *** after"


def test_a_secret_is_redacted_as_soon_as_it_is_learned() -> None:
    secrets = registry_with("the-first-secret")
    assert secrets.redact("the-first-secret the-second-secret") == "*** the-second-secret"
    secrets.learn("the second", "the-second-secret")
    assert secrets.redact("the-first-secret the-second-secret") == "*** ***"


def test_secrets_that_are_learned_at_the_same_time_are_all_known() -> None:
    secrets, values = Secrets(), [f"the-{number:03}th-secret" for number in range(200)]
    threads = [threading.Thread(target=secrets.learn, args=(value, value)) for value in values]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert secrets.found_in(" ".join(values)) == set(values)


def test_the_message_of_an_error_is_redacted() -> None:
    SECRETS.learn("of a test", "a-secret-in-an-error")
    assert str(GitFailed("remote: a-secret-in-an-error is refused")) == "remote: *** is refused"


def test_secrets_can_be_learned_while_another_thread_reads() -> None:
    secrets, stop, faults = registry_with("the-first-secret"), threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            try:
                assert "it" in secrets.found_in("the-first-secret the-99th-secret")
            except Exception as error:  # noqa: BLE001 (any error fails the test)
                faults.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(100):
        secrets.learn(f"{number}", f"the-{number}th-secret")
    stop.set()
    thread.join()
    assert faults == []


def test_secrets_of_a_run_are_known_until_the_next_run_begins() -> None:
    secrets = Secrets()
    secrets.learn("of the process", "process-secret")
    with secrets.run_scope():
        secrets.learn("of the run", "first-secret")
    text = "process-secret first-secret"
    assert secrets.redact(text) == "*** ***", "Prefect logs the end of a run after the context has ended"
    with secrets.run_scope():
        assert secrets.redact(text) == "*** first-secret"
        secrets.learn("of the run", "process-secret")
    with secrets.run_scope():
        assert secrets.redact(text) == "*** first-secret"


def test_a_run_that_begins_during_another_forgets_none_of_its_secrets() -> None:
    secrets = Secrets()
    with secrets.run_scope():
        secrets.learn("of the first", "first-secret")

        def run_in_parallel() -> None:
            with secrets.run_scope():
                secrets.learn("of the second", "second-secret")

        thread = threading.Thread(target=run_in_parallel)
        thread.start()
        thread.join()
        assert secrets.redact("first-secret second-secret") == "*** ***"
        secrets.learn("of the first too", "another-secret")
        assert secrets.found_in("another-secret") == {"of the first too"}


def test_only_the_secrets_of_the_last_of_a_thousand_runs_are_known() -> None:
    secrets = Secrets()
    for number in range(1000):
        with secrets.run_scope():
            secrets.learn("the token", f"token-of-run-{number}")
    assert secrets.redact("token-of-run-998 token-of-run-999") == "token-of-run-998 ***"
