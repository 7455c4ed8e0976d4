"""Refuses files that contain secrets: the run's own credentials, plain or encoded, or text that looks like a secret.

The patterns in `flows/redaction/shapes.py` decide what looks like a secret. A secret that any file of the base already
contains is allowed in every file, because the change does not reveal it. See docs/adr/0021-secret-scan.md.
"""

import binascii
import json
import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from flows.checks.base import Inspection
from flows.errors import CredentialExposed, RunError, SecretInChange
from flows.redaction import GATEWAY_TOKEN, SECRETS, findings_in
from flows.repository import objects
from flows.repository.objects import SUBMODULE, ChangedFile
from flows.repository.occurrences import occurrences

_PART_OF_A_SECRET: Final = re.compile(rb"[A-Za-z0-9+/=._~:-]{16,}")
"""Matches one part of a secret. A private key has many parts: its lines, without their indentation and escapes."""

_ESCAPED_BREAK: Final = re.compile(rb"\\+[nrt]")

_MADE_UP: Final = re.compile(
    rb"(?i)example|placeholder|redacted|change-?me|(?<![a-z0-9])fake|(?<![a-z0-9])dummy|john doe|jane doe"
    rb"|your[_-]|your(?:own|api|key|token|secret|personal|access|password)"
    rb"|xxxx|\*{3}|\.{3}|(?-i:([B-Za-z0-9_-])\1{7})|0123456|1234567|2345678|7654321|abcdefg"
)
"""Matches words that people write in examples instead of a secret. Random characters practically never match."""

_LONGEST_NAMED: Final = 400
"""Length in bytes of the longest secret that `_MADE_UP` is applied to. A longer secret may match by chance."""


@dataclass(frozen=True)
class _Suspect:
    """A possible secret: its parts, and the error to raise if the base does not contain all the parts."""

    parts: frozenset[bytes]
    error: RunError


@dataclass(frozen=True)
class Base:
    """The commit that the work started from, or the tree of a merge."""

    git_dir: Path
    """The trusted repository."""
    commit: str

    def contains(self, parts: Iterable[bytes]) -> set[bytes]:
        """Return those of `parts` that occur in the content or the path of any file of the base."""
        lines = {line for part in parts for line in part.splitlines() if line}
        standing = occurrences(self.git_dir, self.commit, lines)
        return {part for part in parts if all(line in standing for line in part.splitlines() if line)}


def check_leaks(inspection: Inspection) -> None:
    """Raise `CredentialExposed` or `SecretInChange` for the first secret in the changed files, or in their paths.

    The message names the kind of secret, but never quotes the secret.
    """
    base = base_of(inspection)
    # What Git LFS stores leaves the run as well.
    stored = [
        replace(file, blob=inspection.lfs_contents[file.path], old_blob="")
        for file in inspection.files
        if file.path in inspection.lfs_contents
    ]
    sizes = {**inspection.sizes, **objects.sizes(inspection.git_dir, {file.blob for file in stored})}
    for portion in objects.in_portions([*inspection.files, *stored], sizes):
        _raise_first(_suspects(inspection.git_dir, portion, inspection.policy.allow_secrets_in), base)


def base_of(inspection: Inspection) -> Base:
    """Return the base of the inspected change."""
    return Base(inspection.git_dir, inspection.start)


def check_credentials(subject: str, content: bytes, base: Base, *, is_from_agent: bool = False) -> None:
    """Raise `CredentialExposed` if `content` contains one of the run's own credentials that the base does not contain.

    Args:
        subject: What the message calls the content, such as "the commit message".
        content: The content to check.
        base: The commit that the work started from.
        is_from_agent: Whether the content is the agent's output, in which the secrets that the agent holds may stand.
    """
    _raise_first(_credentials(subject, content, is_from_agent=is_from_agent), base)


def check_tokens(subject: str, content: bytes, base: Base, advice: str) -> None:
    """Raise `SecretInChange` if `content` contains text that looks like a secret and that the base does not contain.

    Args:
        subject: What the message calls the content, such as "the commit message".
        content: The content to check.
        base: The commit that the work started from.
        advice: What the message advises the user to do about the secret.
    """
    _raise_first(_tokens(subject, content, advice), base)


def looks_like_secret(content: bytes) -> str:
    """Return the kind of the first secret that `content` seems to contain; "" if nothing in it looks like a secret."""
    return next((kind for kind, _ in _suspected_secrets(content)), "")


def _suspects(git_dir: Path, files: Sequence[ChangedFile], allowed_in: Sequence[str]) -> Iterator[_Suspect]:
    names = "\n".join(file.path for file in files)
    yield from _credentials("the name of a file", names.encode("utf-8", "surrogateescape"))
    contents = objects.contents(
        git_dir, {file.blob for file in files if not file.is_deleted and file.mode != SUBMODULE}
    )
    for file in files:
        content = contents.get(file.blob, b"")
        yield from _credentials(repr(file.path), content)
        if b"\0" not in content and not any(fnmatchcase(file.path, pattern) for pattern in allowed_in):
            yield from _tokens(
                repr(file.path),
                content,
                "have the agent make the code read the secret from the environment, or add the file to "
                "policy.allow_secrets_in if the text is not a secret",
            )


def _credentials(subject: str, content: bytes, *, is_from_agent: bool = False) -> Iterator[_Suspect]:
    for form, name in SECRETS.forms_in(content).items():
        is_for_agent = SECRETS.is_for_agent(name)
        if name != GATEWAY_TOKEN and not (is_for_agent and is_from_agent):
            advice = (
                "have the agent read it from its environment, and keep it out of files"
                if is_for_agent
                else "renew this credential, and find out how it got there"
            )
            yield _Suspect(frozenset({form}), CredentialExposed(f"{subject} contains {name} of this run: {advice}"))


def _tokens(subject: str, content: bytes, advice: str) -> Iterator[_Suspect]:
    for kind, value in _suspected_secrets(content):
        yield _Suspect(
            frozenset(_PART_OF_A_SECRET.findall(_ESCAPED_BREAK.sub(b" ", value)) or [value]),
            SecretInChange(f"{subject} contains text that looks like a secret ({kind}): {advice}"),
        )


def _raise_first(suspects: Iterable[_Suspect], base: Base) -> None:
    """Raise the error of the first suspect that the base does not contain. Read the base only if there are suspects."""
    all_suspects = list(suspects)
    standing = base.contains({part for suspect in all_suspects for part in suspect.parts}) if all_suspects else set()
    for suspect in all_suspects:
        if not suspect.parts <= standing:
            raise suspect.error


def _suspected_secrets(content: bytes) -> Iterator[tuple[str, bytes]]:
    for finding in findings_in(content):
        if finding.shape.is_token and not _is_worthless(finding.value):
            yield finding.shape.kind, finding.value


def _is_worthless(value: bytes) -> bool:
    """Return whether a secret is an invented example, or a token that has expired."""
    if value.startswith(b"eyJ"):
        return _is_worthless_claim(value)
    return len(value) <= _LONGEST_NAMED and bool(_MADE_UP.search(value))


def _is_worthless_claim(token: bytes) -> bool:
    """Return whether a JSON web token is an invented example, such as a tutorial's, or has expired."""
    try:
        payload = token.split(b".")[1]
        claims = urlsafe_b64decode(payload + b"=" * (-len(payload) % 4))
        expiry = json.loads(claims).get("exp")
    except (ValueError, AttributeError, binascii.Error, RecursionError):
        return False
    return bool(_MADE_UP.search(claims)) or (isinstance(expiry, int | float) and expiry < time.time())
