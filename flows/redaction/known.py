"""Keeps a registry of the secrets that this process knows, finds them in text, and replaces them.

The registry is global and not a parameter, because a log line or an error can come from any code. Code that did not get
the registry would leak secrets.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Final

from flows.redaction.environment import secrets_in, strip
from flows.redaction.forms import encoded_forms_of, forms_of
from flows.redaction.literals import Literals, OverlappingLiterals, Prefixes, Span, replace
from flows.redaction.shapes import findings_in

REDACTED: Final = "***"
GATEWAY_TOKEN: Final = "the model gateway's token"  # noqa: S105 (the name of a secret)
"""The name of a secret that every agent has. This token is worthless after the run."""

SHORTEST_SECRET: Final = 8
"""The length of the shortest secret to redact. A shorter one could be an ordinary word."""

_LAST_OF_LATIN_1: Final = "\xff"

_GAP: Final = re.compile(rb"(?:\\[nr]|[\s\\])++")
"""Matches the white space and line breaks, also as written in JSON, between lines of base64 or hexadecimal digits."""

_SHORTEST_WIDTH: Final = 60
"""The length of the shortest lines into which programs break base64 or hexadecimal digits, as `xxd -p` does."""


@dataclass(frozen=True)
class _Known:
    """What is known of one form of a secret. `name` is the name of the secret."""

    name: str
    is_broken_into_lines: bool
    """Whether programs break this form into lines."""
    is_for_agent: bool
    """Whether the agent holds this secret on purpose."""


Forms = dict[str, _Known]
"""A mapping from each form of a secret to what is known of this form."""


class _Search:
    """A search for all forms of the known secrets."""

    def __init__(self, forms: Mapping[str, _Known]) -> None:
        self.source: Final = forms
        self._names: Final = {_encode(form): secret.name for form, secret in forms.items()}
        # Content may be in Latin-1, not UTF-8. For an ASCII secret both encodings are the same.
        self._latin_1_forms: Final = {form.encode("latin-1") for form in forms if max(form) <= _LAST_OF_LATIN_1}
        self._broken_forms: Final = [form.encode() for form, secret in forms.items() if secret.is_broken_into_lines]
        self._pieces: Final = {piece for form in self._broken_forms for piece in _pieces(form)} - self._names.keys()
        self._all_forms: Final = self._names.keys() | self._latin_1_forms | self._pieces
        self._prefixes: Final = Prefixes(self._all_forms)

    def names_in(self, content: bytes) -> dict[bytes, str]:
        """Return the forms of secrets that `content` contains, each mapped to the name of its secret."""
        forms = self._forms_in(content)
        if forms & self._pieces:
            forms |= Literals(self._broken_forms).found_in(_GAP.sub(b"", content))
        return {form: self._names[form] for form in forms & self._names.keys()}

    def spans(self, content: bytes, *, is_text: bool) -> Iterator[Span]:
        """Yield the start and the end of each secret in `content`."""
        forms = self._forms_in(content)
        if forms:
            search = self._all if is_text else self._all_with_latin_1
            yield from ((start, end) for _, start, end in search.matches(content))
        if forms & self._pieces:
            yield from self._broken_spans(content)

    def _forms_in(self, content: bytes) -> set[bytes]:
        return self._first.found_in(content) if self._prefixes.may_be_in(content) else set()

    def _broken_spans(self, content: bytes) -> Iterator[Span]:
        """Yield the start and the end of each secret in `content` whose encoded digits are broken into lines."""
        starts, lengths = [0], [0]  # of each piece in the joined content, and of the gaps before it
        for gap in _GAP.finditer(content):
            starts.append(gap.start() - lengths[-1])
            lengths.append(lengths[-1] + gap.end() - gap.start())
        joined = _GAP.sub(b"", content)
        for _, start, end in OverlappingLiterals(self._broken_forms).matches(joined):
            first, last = start, end - 1
            yield (
                first + lengths[bisect_right(starts, first) - 1],
                last + lengths[bisect_right(starts, last) - 1] + 1,
            )

    # These are built only if a text contains a secret, or the beginning of one.

    @cached_property
    def _first(self) -> Literals:
        return Literals(self._all_forms)

    @cached_property
    def _all(self) -> OverlappingLiterals:
        return OverlappingLiterals(self._names)

    @cached_property
    def _all_with_latin_1(self) -> OverlappingLiterals:
        return OverlappingLiterals(self._names.keys() | self._latin_1_forms)


def _pieces(form: bytes) -> Iterator[bytes]:
    """Yield two adjacent pieces of at most 30 bytes from the beginning of a form.

    If each line has 60 or more digits, a line break can split only one of the two pieces, so the other one is found.
    """
    length = min(len(form), _SHORTEST_WIDTH) // 2
    yield from (form[:length], form[length : 2 * length])


class Secrets:
    """A registry of named secrets, which finds and replaces them in all the forms that text can contain.

    A secret that is learned within `run_scope` belongs to that run; any other secret belongs to the process.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._process_secrets: Forms = {}
        self._run_secrets: list[Forms] = []
        self._ended_runs: list[Forms] = []
        self._current: ContextVar[Forms] = ContextVar("secrets of the run")
        self._all: Mapping[str, _Known] = {}
        self._search = _Search({})

    @contextmanager
    def run_scope(self) -> Iterator[None]:
        """Assign the secrets that are learned in this context to a run. They are forgotten when the next run begins.

        Prefect logs and publishes the end of the run after the context has ended, so the secrets are still needed then.
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

    def learn(self, name: str, value: str | None, *, is_for_agent: bool = False) -> None:
        """Redact a secret from now on, also if white space surrounds it. Ignore a value shorter than 8 characters.

        Args:
            name: What messages call the secret.
            value: The secret.
            is_for_agent: Whether the agent holds the secret on purpose.
        """
        value = strip(value or "")
        if len(value) < SHORTEST_SECRET:
            return
        names = self._current.get(self._process_secrets)
        with self._lock:
            if value not in names:
                in_one_line = _Known(name, is_broken_into_lines=False, is_for_agent=is_for_agent)
                in_lines = _Known(name, is_broken_into_lines=True, is_for_agent=is_for_agent)
                names.update(dict.fromkeys(forms_of(value), in_one_line))
                names.update(dict.fromkeys(encoded_forms_of(value), in_lines))
                self._merge()

    def learn_environment(self, environment: Mapping[str, str]) -> None:
        """Learn the secrets in environment variables, and the passwords in variables that hold URLs."""
        for name, value in secrets_in(environment):
            self.learn(name, value)

    def redact(self, text: str) -> str:
        """Return `text` with every known secret, and everything that looks like a secret, replaced by `REDACTED`."""
        content = _encode(text)
        clean = self._redacted(content, is_text=True)
        return text if clean is content else clean.decode("utf-8", "surrogatepass")

    def redact_bytes(self, content: bytes) -> bytes:
        """Return `content` with secrets replaced as in `redact`. `content` may be any bytes, not only text."""
        return self._redacted(content, is_text=False)

    def _redacted(self, content: bytes, *, is_text: bool) -> bytes:
        spans = list(self._current_search().spans(content, is_text=is_text))
        spans += [(finding.start, finding.end) for finding in findings_in(content)]
        return replace(content, spans, REDACTED.encode())

    def found_in(self, text: str) -> set[str]:
        """Return the names of the known secrets that `text` contains."""
        return set(self.forms_in(_encode(text)).values())

    def forms_in(self, content: bytes) -> dict[bytes, str]:
        """Return the forms of known secrets that `content` contains, each mapped to the name of its secret."""
        return self._current_search().names_in(content)

    def is_for_agent(self, name: str) -> bool:
        """Whether the agent holds the secret with this name on purpose."""
        return any(known.is_for_agent for known in self._all.values() if known.name == name)

    def _merge(self) -> None:
        registries = (self._process_secrets, *self._run_secrets)
        self._all = {form: secret for registry in registries for form, secret in registry.items()}

    def _current_search(self) -> _Search:
        """Return the search for the current secrets. It is built on first use, which takes 0.3 s for 1,000 secrets."""
        names, search = self._all, self._search
        if search.source is not names:
            search = self._search = _Search(names)
        return search


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # a file name that is not UTF-8 contains lone surrogates


SECRETS: Final = Secrets()
"""The secrets of this process and of its runs."""

redact = SECRETS.redact
