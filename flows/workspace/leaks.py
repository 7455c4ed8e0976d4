"""Secrets in a change: the run's own, in any form, and what looks like somebody's.

What looks like a secret is what the token detectors of https://github.com/Yelp/detect-secrets say, on the lines that
the change adds. Its guesses by entropy or by a variable's name are left out: they stop ordinary work.
"""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Final

from flows.errors import CredentialExposed, SecretInChange
from flows.redaction import GATEWAY_TOKEN, SECRETS
from flows.shapes import TOKEN_SHAPES
from flows.workspace import changed_files as git_objects
from flows.workspace.changed_files import ChangedFile

_GUESSES: Final = {
    "Artifactory Credentials",
    "Base64 High Entropy String",
    "Basic Auth Credentials",
    "Hex High Entropy String",
    "Public IP (ipv4)",
    "Secret Keyword",
}
_EXAMPLE: Final = "EXAMPLE"
"""How AWS's documentation marks the keys in it, which open nothing."""


def check_message(message: str) -> None:
    """Raise the named error of a secret in a commit's message; only its kind is said."""
    check_credentials("the commit message", message)
    if kind := looks_like_secret(message):
        raise SecretInChange(f"the commit message holds what looks like a secret ({kind}): write it without")


def check_secrets(git_dir: Path, files: Sequence[ChangedFile], allowed_in: Sequence[str]) -> None:
    """Raise the named error of the first secret that the files hold and did not hold before; only its kind is said."""
    check_credentials("the name of a file", "\n".join(file.path for file in files))
    held = git_objects.contents(git_dir, {blob for file in files for blob in file.blobs})
    for file in files:
        new, added = _texts(held.get(file.blob, b""), held.get(file.old_blob, b""))
        check_credentials(repr(file.path), new)
        if any(fnmatchcase(file.path, pattern) for pattern in allowed_in) or "\0" in new:
            continue
        if kind := looks_like_secret(added):
            raise SecretInChange(
                f"{file.path!r} holds what looks like a secret ({kind}): have the agent read it from the environment, "
                "or name the file in policy.allow_secrets_in if it is none"
            )


def check_credentials(where: str, text: str) -> None:
    """Raise `CredentialExposed` if `text` holds one of the run's own credentials."""
    if exposed := SECRETS.found_in(text) - {GATEWAY_TOKEN}:
        raise CredentialExposed(
            f"{where} holds {', '.join(sorted(exposed))} of this run: renew it, and find out how it got there"
        )


def looks_like_secret(text: str) -> str:
    """Return the kind of secret that `text` seems to hold, and "" if none."""
    return next((kind for kind, found in _suspects(text) if _EXAMPLE not in found), "")


def _suspects(text: str) -> Iterator[tuple[str, str]]:
    for kind, detector in _detectors().items():
        yield from ((kind, str(found)) for found in detector.analyze_string(text))
    for shape in TOKEN_SHAPES:
        yield from (("a token", found[0]) for found in shape.finditer(text))


def _texts(new: bytes, old: bytes) -> tuple[str, str]:
    """Return a file's content, and the lines of it that were not there before."""
    text, before = new.decode("latin-1"), set(old.decode("latin-1").splitlines())
    return text, "\n".join(line for line in text.splitlines() if line not in before) if before else text


@cache
def _detectors() -> dict[str, Any]:
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class  # noqa: PLC0415 (a quarter second)
    from detect_secrets.plugins.base import RegexBasedDetector  # noqa: PLC0415

    classes: dict[str, Any] = get_mapping_from_secret_type_to_class()
    return {
        kind: made() for kind, made in classes.items() if kind not in _GUESSES and issubclass(made, RegexBasedDetector)
    }
