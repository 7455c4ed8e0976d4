"""The secrets that this process knows, and how they are found in text and replaced.

They are not passed from call to call: a log line or an error can come from anywhere, and the forgotten call is the one
that leaks.
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
GATEWAY_TOKEN: Final = "the model gateway's token"  # noqa: S105 (its name)
"""The one secret that the agent has; it is worth nothing when the run is over."""

_SHORTEST: Final = 8
"""Characters; redacting a shorter secret would redact ordinary words."""

_LAST_OF_LATIN_1: Final = "\xff"

Forms = dict[str, str]
"""The name of a secret, by each of the secret's forms."""


class _Search:
    """A search for all forms of the known secrets."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.source: Final = names
        self._names: Final = {_encode(form): name for form, name in names.items()}
        self.in_text: Final = Literals(self._names)
        # Content need not be UTF-8. For nearly all secrets this adds nothing.
        others = {form.encode("latin-1") for form in names if max(form) <= _LAST_OF_LATIN_1} - self._names.keys()
        self.in_bytes: Final = Literals([*self._names, *others]) if others else self.in_text

    def names_in(self, text: str) -> set[str]:
        """Return the names of the secrets that `text` holds."""
        return {self._names[form] for form in self.in_text.found_in(_encode(text))}


class Secrets:
    """Values that must not be seen, by name, in every form in which text could hold them.

    A secret that is learned in a run belongs to the run; one that is learned elsewhere belongs to the process.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._of_process: Forms = {}
        self._of_runs: list[Forms] = []
        self._ended: list[Forms] = []
        self._current: ContextVar[Forms] = ContextVar("secrets of the run")
        self._all: Mapping[str, str] = {}
        self._search = _Search({})

    @contextmanager
    def of_run(self) -> Iterator[None]:
        """Let the secrets that are learned in this context be known until the next run of the process begins.

        The end of the context is too early to forget them: Prefect logs and publishes the end of a run after it.
        """
        names: Forms = {}
        with self._lock:
            self._of_runs = [forms for forms in self._of_runs if not any(forms is ended for ended in self._ended)]
            self._of_runs.append(names)
            self._ended.clear()
            self._join()
        token = self._current.set(names)
        try:
            yield
        finally:
            self._current.reset(token)
            with self._lock:
                self._ended.append(names)

    def learn(self, name: str, value: str | None) -> None:
        """Know a secret from now on, with and without white space around it; ignore one that is empty or short."""
        value = strip(value or "")
        if len(value) < _SHORTEST:
            return
        names = self._current.get(self._of_process)
        with self._lock:
            if value not in names:
                names.update(dict.fromkeys(forms_of(value), name))
                self._join()

    def learn_environment(self, environment: Mapping[str, str]) -> None:
        """Know the values of the variables that hold secrets, and the passwords within those that hold URLs."""
        for name, value in secrets_in(environment):
            self.learn(name, value)

    def redact(self, text: str) -> str:
        """Return `text` without the known secrets and without what looks like one."""
        content = _encode(text)
        clean = self._known().in_text.replace(content, REDACTED.encode())
        if clean is not content:
            text = clean.decode("utf-8", "surrogatepass")
        return _without(shapes_in(clean), text)

    def redact_bytes(self, content: bytes) -> bytes:
        """Return `content` redacted in the same way. It need not be text; all that is replaced is ASCII."""
        clean = self._known().in_bytes.replace(content, REDACTED.encode())
        shapes = shapes_in(clean)
        return _without(shapes, clean.decode("latin-1")).encode("latin-1") if shapes else clean

    def found_in(self, text: str) -> set[str]:
        """Return the names of the known secrets that `text` holds."""
        return self._known().names_in(text)

    def _join(self) -> None:
        self._all = {form: name for forms in (self._of_process, *self._of_runs) for form, name in forms.items()}

    def _known(self) -> _Search:
        """Return the search, made when it is first needed after a change: 1,000 secrets take half a second."""
        names, search = self._all, self._search
        if search.source is not names:
            search = self._search = _Search(names)
        return search


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # a file name that is not UTF-8 has lone surrogates


def _without(shapes: list[re.Pattern[str]], text: str) -> str:
    for shape in shapes:
        text = shape.sub(_keep_around, text)
    return text


def _keep_around(match: re.Match[str]) -> str:
    around = match.groupdict()
    return f"{around.get('before', '')}{REDACTED}{around.get('after', '')}"


SECRETS: Final = Secrets()
"""Those of this process and of its runs."""

redact = SECRETS.redact
