"""Refuses files that contain secrets: the run's own credentials in any form, or text that looks like another secret.

The token detectors of https://github.com/Yelp/detect-secrets decide what looks like a secret, in the lines that the
change adds. Detectors that guess by entropy or by a variable's name are not used, because they refuse ordinary work.
"""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Final

from flows.checks.base import Inspection
from flows.errors import CredentialExposed, SecretInChange
from flows.redaction import GATEWAY_TOKEN, SECRETS, TOKEN_SHAPES
from flows.repository import objects
from flows.repository.objects import ChangedFile

_GUESSES: Final = {
    "Artifactory Credentials",
    "Base64 High Entropy String",
    "Basic Auth Credentials",
    "Hex High Entropy String",
    "Public IP (ipv4)",
    "Secret Keyword",
}
_EXAMPLE: Final = "EXAMPLE"
"""Part of the keys in AWS's documentation, which are not valid."""


def check_leaks(inspection: Inspection) -> None:
    """Raise `CredentialExposed` or `SecretInChange` for the first secret in the changed files or their names.

    The message names the kind of secret, but never quotes it.
    """
    for portion in objects.in_portions(inspection.files, inspection.sizes):
        _check_files(inspection.git_dir, portion, inspection.policy.allow_secrets_in)


def _check_files(git_dir: Path, files: Sequence[ChangedFile], allowed_in: Sequence[str]) -> None:
    check_credentials("the name of a file", "\n".join(file.path for file in files))
    contents = objects.contents(git_dir, {blob for file in files for blob in file.blobs})
    for file in files:
        new, added = _content_and_additions(contents.get(file.blob, b""), contents.get(file.old_blob, b""))
        check_credentials(repr(file.path), new)
        if any(fnmatchcase(file.path, pattern) for pattern in allowed_in) or "\0" in new:
            continue
        if kind := looks_like_secret(added):
            raise SecretInChange(
                f"{file.path!r} contains what looks like a secret ({kind}): have the agent read it from the "
                "environment, or add the file to policy.allow_secrets_in if it is not a secret"
            )


def check_credentials(subject: str, text: str) -> None:
    """Raise `CredentialExposed` if `text` contains one of the run's own credentials.

    Args:
        subject: What the text is, for the message.
        text: The text to check.
    """
    if exposed := SECRETS.found_in(text) - {GATEWAY_TOKEN}:
        raise CredentialExposed(
            f"{subject} contains {', '.join(sorted(exposed))} of this run: renew it, and find out how it got there"
        )


def looks_like_secret(text: str) -> str:
    """Return the kind of secret that `text` seems to contain; "" if it seems to contain none."""
    return next((kind for kind, match in _suspected_secrets(text) if _EXAMPLE not in match), "")


def _suspected_secrets(text: str) -> Iterator[tuple[str, str]]:
    for kind, detector in _detectors().items():
        yield from ((kind, str(match)) for match in detector.analyze_string(text))
    for shape in TOKEN_SHAPES:
        yield from (("a token", match[0]) for match in shape.finditer(text))


def _content_and_additions(new: bytes, old: bytes) -> tuple[str, str]:
    """Return a file's content as text, and the lines of it that the old content does not have."""
    text, before = new.decode("latin-1"), set(old.decode("latin-1").splitlines())
    return text, "\n".join(line for line in text.splitlines() if line not in before) if before else text


@cache
def _detectors() -> dict[str, Any]:
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class  # noqa: PLC0415 (takes 0.25 s)
    from detect_secrets.plugins.base import RegexBasedDetector  # noqa: PLC0415

    classes: dict[str, Any] = get_mapping_from_secret_type_to_class()
    return {
        kind: detector()
        for kind, detector in classes.items()
        if kind not in _GUESSES and issubclass(detector, RegexBasedDetector)
    }
