"""A registry of the secrets that this process knows, which finds them in text and replaces them.

The registry is global, not passed from call to call. A log line or an error can come from any code, and the one call
that lacks the registry would be the one that leaks.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Final

from flows.redaction.environment import secrets_in, strip
from flows.redaction.forms import forms_of
from flows.redaction.literals import Literals
from flows.redaction.shapes import shapes_in

REDACTED: Final = "***"
GATEWAY_TOKEN: Final = "the model gateway's token"  # noqa: S105 (the name of a secret)
"""The only secret that the agent has. It is worthless once the run is over."""

_SHORTEST: Final = 8
"""Characters of the shortest secret to redact: redacting shorter ones would redact ordinary words."""

_LAST_OF_LATIN_1: Final = "\xff"

Forms = dict[str, str]
"""Names of secrets, by each form of the secret."""


class _Search:
    """A search for all forms of the known secrets."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.source: Final = names
        self._names: Final = {_encode(form): name for form, name in names.items()}
        self.in_text: Final = Literals(self._names)
        # Content may be in Latin-1, not UTF-8. For an ASCII secret both encodings are the same.
        latin_1_forms = {form.encode("latin-1") for form in names if max(form) <= _LAST_OF_LATIN_1} - self._names.keys()
        self.in_bytes: Final = Literals([*self._names, *latin_1_forms]) if latin_1_forms else self.in_text

    def names_in(self, text: str) -> set[str]:
        """Return the names of the secrets that `text` contains."""
        return {self._names[form] for form in self.in_text.found_in(_encode(text))}


class Secrets:
    """A registry of named secret values, in every form in which text can contain them.

    A secret that is learned in a run belongs to that run; any other secret belongs to the process.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._process_secrets: Forms = {}
        self._run_secrets: list[Forms] = []
        self._ended_runs: list[Forms] = []
        self._current: ContextVar[Forms] = ContextVar("secrets of the run")
        self._all: Mapping[str, str] = {}
        self._search = _Search({})

    @contextmanager
    def run_scope(self) -> Iterator[None]:
        """Remember the secrets that are learned in this context until the process's next run begins.

        The end of the context is too early to forget them: Prefect logs and publishes the end of the run after it.
        """
        names: Forms = {}
        with self._lock:
            running = [run for run in self._run_secrets if not any(run is ended for ended in self._ended_runs)]
            self._run_secrets = [*running, names]
            self._ended_runs.clear()
            self._merge()
        token = self._current.set(names)
        try:
            yield
        finally:
            self._current.reset(token)
            with self._lock:
                self._ended_runs.append(names)

    def learn(self, name: str, value: str | None) -> None:
        """Redact a secret from now on, with or without white space around it; ignore an empty or a short value."""
        value = strip(value or "")
        if len(value) < _SHORTEST:
            return
        names = self._current.get(self._process_secrets)
        with self._lock:
            if value not in names:
                names.update(dict.fromkeys(forms_of(value), name))
                self._merge()

    def learn_environment(self, environment: Mapping[str, str]) -> None:
        """Learn the values of the variables that hold secrets, and the passwords within variables that hold URLs."""
        for name, value in secrets_in(environment):
            self.learn(name, value)

    def redact(self, text: str) -> str:
        """Return `text` with every known secret, and everything that looks like a secret, replaced by `REDACTED`."""
        content = _encode(text)
        clean = self._current_search().in_text.replace(content, REDACTED.encode())
        if clean is not content:
            text = clean.decode("utf-8", "surrogatepass")
        return _redact_shapes(shapes_in(clean), text)

    def redact_bytes(self, content: bytes) -> bytes:
        """Return `content` redacted in the same way; it need not be text."""
        clean = self._current_search().in_bytes.replace(content, REDACTED.encode())
        shapes = shapes_in(clean)
        return _redact_shapes(shapes, clean.decode("latin-1")).encode("latin-1") if shapes else clean

    def found_in(self, text: str) -> set[str]:
        """Return the names of the known secrets that `text` contains."""
        return self._current_search().names_in(text)

    def _merge(self) -> None:
        registries = (self._process_secrets, *self._run_secrets)
        self._all = {form: name for registry in registries for form, name in registry.items()}

    def _current_search(self) -> _Search:
        """Return the search for the current secrets, built on first use after a change: 1,000 secrets take 0.5 s."""
        names, search = self._all, self._search
        if search.source is not names:
            search = self._search = _Search(names)
        return search


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # a file name that is not UTF-8 contains lone surrogates


def _redact_shapes(shapes: list[re.Pattern[str]], text: str) -> str:
    for shape in shapes:
        text = shape.sub(_redacted_match, text)
    return text


def _redacted_match(match: re.Match[str]) -> str:
    groups = match.groupdict()
    return f"{groups.get('before', '')}{REDACTED}{groups.get('after', '')}"


SECRETS: Final = Secrets()
"""The secrets of this process and of its runs."""

redact = SECRETS.redact
