"""Refuses files that contain secrets: the run's own credentials in any form, or text that looks like another secret.

The shapes in `flows/redaction/shapes.py` decide what looks like a secret. What stood anywhere in the base is no
finding, wherever it stands now: the change does not make it known. See docs/adr/0021-secret-scan.md.
"""

import binascii
import json
import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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
"""What identifies a secret. A private key has many parts: its lines, in whichever way it is indented or escaped."""

_ESCAPED_BREAK: Final = re.compile(rb"\\+[nrt]")

_MADE_UP: Final = re.compile(
    rb"(?i)example|placeholder|redacted|change-?me|(?<![a-z0-9])fake|(?<![a-z0-9])dummy|john doe|jane doe"
    rb"|your[_-]|your(?:own|api|key|token|secret|personal|access|password)"
    rb"|xxxx|\*{3}|\.{3}|(?-i:([B-Za-z0-9_-])\1{7})|0123456|1234567|2345678|7654321|abcdefg"
)
"""What a person or a document writes in place of a secret. Random characters practically never match."""

_LONGEST_NAMED: Final = 400
"""Characters of the longest secret to look for made-up words in. They occur by chance in a long one, such as a key."""


@dataclass(frozen=True)
class _Suspect:
    """A part of a text that may be a secret, and the error if it was not in the base."""

    parts: frozenset[bytes]
    error: RunError


@dataclass(frozen=True)
class Base:
    """The commit that the work started from."""

    git_dir: Path
    """The trusted bare repository."""
    commit: str

    def contains(self, parts: Iterable[bytes]) -> set[bytes]:
        """Return the parts that stand in a file of the base, or in its name."""
        wanted = {line for part in parts for line in part.splitlines() if line}
        standing = occurrences(self.git_dir, self.commit, wanted)
        return {part for part in parts if all(line in standing for line in part.splitlines() if line)}


def check_leaks(inspection: Inspection) -> None:
    """Raise `CredentialExposed` or `SecretInChange` for the first secret in the changed files or their names.

    The message names the kind of secret, but never quotes it.
    """
    base = base_of(inspection)
    for portion in objects.in_portions(inspection.files, inspection.sizes):
        _raise_first(_suspects(inspection.git_dir, portion, inspection.policy.allow_secrets_in), base)


def base_of(inspection: Inspection) -> Base:
    """Return the base of the change."""
    return Base(inspection.git_dir, inspection.change.checkout.base_commit)


def check_credentials(subject: str, content: bytes, base: Base) -> None:
    """Raise `CredentialExposed` if `content` contains one of the run's own credentials, and the base does not.

    Args:
        subject: What the content is, for the message.
        content: The content to check.
        base: The commit that the work started from.
    """
    _raise_first(_credentials(subject, content), base)


def check_tokens(subject: str, content: bytes, base: Base, advice: str) -> None:
    """Raise `SecretInChange` if `content` contains what looks like a secret, and the base does not contain it.

    Args:
        subject: What the content is, for the message.
        content: The content to check.
        base: The commit that the work started from.
        advice: What to do about it, for the message.
    """
    _raise_first(_tokens(subject, content, advice), base)


def looks_like_secret(content: bytes) -> str:
    """Return the kind of secret that `content` seems to contain; "" if it seems to contain none."""
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
                "have the agent read it from the environment, or add the file to policy.allow_secrets_in if it is not "
                "a secret",
            )


def _credentials(subject: str, content: bytes) -> Iterator[_Suspect]:
    for form, name in SECRETS.forms_in(content).items():
        if name != GATEWAY_TOKEN:
            yield _Suspect(
                frozenset({form}),
                CredentialExposed(f"{subject} contains {name} of this run: renew it, and find out how it got there"),
            )


def _tokens(subject: str, content: bytes, advice: str) -> Iterator[_Suspect]:
    for kind, value in _suspected_secrets(content):
        yield _Suspect(
            frozenset(_PART_OF_A_SECRET.findall(_ESCAPED_BREAK.sub(b" ", value)) or [value]),
            SecretInChange(f"{subject} contains what looks like a secret ({kind}): {advice}"),
        )


def _raise_first(suspects: Iterable[_Suspect], base: Base) -> None:
    """Raise the error of the first suspect that was not in the base; search the base only if there is a suspect."""
    found = list(suspects)
    standing = base.contains({part for suspect in found for part in suspect.parts}) if found else set()
    for suspect in found:
        if not suspect.parts <= standing:
            raise suspect.error


def _suspected_secrets(content: bytes) -> Iterator[tuple[str, bytes]]:
    for finding in findings_in(content):
        if finding.shape.is_token and not _is_worthless(finding.value):
            yield finding.shape.kind, finding.value


def _is_worthless(value: bytes) -> bool:
    """Return whether a secret is made up, or has expired."""
    if value.startswith(b"eyJ"):
        return _is_worthless_claim(value)
    return len(value) <= _LONGEST_NAMED and bool(_MADE_UP.search(value))


def _is_worthless_claim(token: bytes) -> bool:
    """Return whether the claims of a JSON web token are those of a tutorial, or have expired."""
    try:
        payload = token.split(b".")[1]
        claims = urlsafe_b64decode(payload + b"=" * (-len(payload) % 4))
        expiry = json.loads(claims).get("exp")
    except (ValueError, AttributeError, binascii.Error, RecursionError):
        return False
    return bool(_MADE_UP.search(claims)) or (isinstance(expiry, int | float) and expiry < time.time())
