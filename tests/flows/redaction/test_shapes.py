"""The shapes of secrets: which text they find, and that no text makes the search slow."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.redaction import findings_in
from flows.redaction.shapes import _FOUND_BY_BEGINNING, SHAPES, Shape

BODY = "\n".join(["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"] * 3) + "\nabc=\n"
KEY = f"-----BEGIN PRIVATE KEY-----\n{BODY}-----END PRIVATE KEY-----"


def redacted(text: str) -> str:
    """Replace the findings in a text, which do not overlap."""
    content = text.encode()
    for finding in sorted(findings_in(content), key=lambda finding: -finding.start):
        content = content[: finding.start] + b"***" + content[finding.end :]
    return content.decode()


@pytest.mark.parametrize("shape", _FOUND_BY_BEGINNING, ids=lambda shape: f"{shape.kind} {shape.beginnings[0]!r}")
@settings(max_examples=10)  # hypothesis takes long to make text from a pattern
@given(st.data())
def test_each_match_of_a_shape_is_found_by_its_beginning(shape: Shape, data: st.DataObject) -> None:
    # hypothesis cannot make text for assertions about what is around a match.
    pattern = re.sub(rb"^\(\?:\(\?<!.*?m\)\)", b"", shape.pattern.pattern)
    token = data.draw(st.from_regex(re.compile(pattern.replace(b"}+", b"}")), fullmatch=True))
    assert findings_in(b" " + token + b" after")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"<{KEY}>", "<***>"),
        (f"{KEY.replace('PRIVATE', 'ENCRYPTED PRIVATE')} after", "*** after"),
        (
            KEY.replace("KEY-----\nMII", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,0A1B2C3D\n\nMII", 1),
            "***",
        ),
        (
            f"-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\nComment: a key\n\n{BODY}=aB3d\n"
            "-----END PGP PRIVATE KEY BLOCK-----\n",
            "***\n",
        ),
        (json.dumps({"private_key": KEY + "\n"}), '{"private_key": "***\\n"}'),
        (json.dumps({"text": json.dumps({"key": KEY})}), '{"text": "{\\"key\\": \\"***\\"}"}'),
        ("key: |\n" + re.sub("^", "    ", KEY, flags=re.MULTILINE), "key: |\n    ***"),
        ("\n".join(f'    "{line}\\n"' for line in KEY.split("\n")), '    "***\\n"'),
        (KEY.replace("\n", "\r\n"), "***"),
        (KEY.replace("\n", ""), "***"),
        (KEY[:150], "***"),
    ],
)
def test_private_keys_are_found_in_each_form(text: str, expected: str) -> None:
    assert redacted(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "if '-----BEGIN RSA PRIVATE KEY-----' in text:\n    raise ValueError('this is a private key of somebody')\n",
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
        "the line -----BEGIN OPENSSH PRIVATE KEY----- starts it",
        'HEADERS = ["-----BEGIN EC PRIVATE KEY-----", "-----BEGIN PGP PRIVATE KEY BLOCK-----"]',
    ],
)
def test_the_header_of_a_private_key_alone_is_no_secret(text: str) -> None:
    assert findings_in(text.encode()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"Authorization": "Bearer abc.def-123"}', '{"Authorization": "Bearer ***"}'),
        ('{"h": "{\\"authorization\\":\\"Bearer abc.def-123\\"}"}', '{"h": "{\\"authorization\\":\\"Bearer ***\\"}"}'),
        ("{'Authorization': 'token 0123456789abcdef'}", "{'Authorization': 'token ***'}"),
        ("Authorization: token 0123456789abcdef", "Authorization: token ***"),
        ("[(b'authorization', b'Basic dTpwYXNzd29yZA==')]", "[(b'authorization', b'Basic ***')]"),
        ("PROXY_AUTHORIZATION=Basic dTpwYXNzd29yZA==", "PROXY_AUTHORIZATION=Basic ***"),
        ('headers["Authorization"] = "Bearer abc.def-123"', 'headers["Authorization"] = "Bearer abc.def-123"'),
        ("https://0a1b2c3d4e5f60718293a4b5@host/r.git", "https://***@host/r.git"),
        ("https://0a1b2c3d4e5f60718293a4b5:@host/r.git", "https://***@host/r.git"),
        ("https://0a1b2c3d4e5f60718293a4b5:x-oauth-basic@host/r", "https://***@host/r"),
        ("postgres://me:p!ss@db/x", "postgres://***@db/x"),
        ("https://my-organization-of-2026@dev.azure.com/x", "https://my-organization-of-2026@dev.azure.com/x"),
        ("https://user@bitbucket.org/x ssh://git@host/x", "https://user@bitbucket.org/x ssh://git@host/x"),
        ("https://example.com:8080/a@b", "https://example.com:8080/a@b"),
    ],
)
def test_passwords_in_headers_and_addresses_are_found(text: str, expected: str) -> None:
    assert redacted(text) == expected


@pytest.mark.parametrize("before", ["", " ", '"', "\\n", "\\\\n", "%3D", "\\u001b[31m", "\\u003d", "/", "="])
@pytest.mark.parametrize("token", ["sk-ant-api03-" + "aB3_" * 20, "hf_" + "aB" * 17, "pnu_" + "a1" * 18])
def test_a_token_is_found_after_any_escape(before: str, token: str) -> None:
    assert redacted(f"x {before}{token} after") == f"x {before}*** after"


@pytest.mark.parametrize(
    "text",
    [
        "desk-ant-colony-optimization-for-the-town",
        "task-sk-proj-management-office-of-the-town-hall",
        "self.hf_model_name_or_path_for_the_pretraining_run",
        "see README.md, and glpat or eyj",
        "uthorization: https://AKIA ghp_",
    ],
)
def test_words_with_the_beginning_of_a_token_are_no_secrets(text: str) -> None:
    assert findings_in(text.encode()) == []


@pytest.mark.parametrize(
    "unit",
    [
        b"eyJ", b".eyJ", b"eyJ" + b"a" * 4000, b"eyJaaaaaaaaaa.", b"eyJa.eyJ", b"://", b"://a:", b"-----BEGIN ",
        b"-----BEGIN PRIVATE KEY-----", b"-----BEGIN PRIVATE KEY-----\n" + b"A" * 16 + b"\n" * 39, b"ghp_", b"sk-",
        b"Authorization: Bearer ", b"Authorization" + b"\\" * 8, b"xoxb-" + b"a" * 3000,
        *(beginning for shape in SHAPES for beginning in shape.beginnings),
    ],
)  # fmt: skip
def test_no_text_takes_more_time_per_byte_the_longer_it_is(unit: bytes) -> None:
    """With quadratic time, this text would take hours, and the test would exceed its time limit."""
    findings_in(unit * (500_000 // len(unit)))
