"""Recognises test files, and the tests and skip markers in them, by simple patterns of each language.

A pattern reads text, not a program: a test in a comment counts, and a test that a loop generates does not. There are
patterns for pytest and unittest; Jest, Vitest, Mocha and node:test; Go's testing; JUnit for Java and Kotlin; Rust's
tests; RSpec and minitest; PHPUnit; xUnit, NUnit and MSTest. Repetitions are bounded, because the text is the agent's.
"""

import re
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from re import Pattern
from typing import Final

_FOLDERS: Final = frozenset({"test", "tests", "__tests__", "spec", "specs", "testing", "e2e", "cypress"})
_NAMES: Final = (
    "test_*.py", "*_test.py", "tests.py", "*.test.*", "*.spec.*", "*_test.go", "*test.java", "*tests.java", "*it.java",
    "test*.java", "*test.kt", "*tests.kt", "*_spec.rb", "*_test.rb", "test_*.rb", "*test.php", "*tests.cs", "*test.cs",
    "*_test.rs", "*.bats", "*_test.exs", "*_test.dart", "*tests.swift", "*test.scala", "*spec.scala",
)  # fmt: skip


@dataclass(frozen=True)
class _Language:
    tests: tuple[Pattern[str], ...]
    """Each match is a test. Its last group that is not None is the test's name."""
    skips: Pattern[str]


_JS: Final = _Language(
    (
        re.compile(
            r"(?<![\w$.])[xf]?(?:it|test|specify)(?:\.\w+)*\s*\(\s*(?:'([^'\n]{0,500})'|\"([^\"\n]{0,500})\"|`([^`]{0,500})`)"
        ),
        re.compile(
            r"(?<![\w$.])[xf]?(?:it|test)(?:\.\w+)*\.each\s*(?:\([^)]{0,2000}\)|`[^`]{0,2000}`)\s*"
            r"\(\s*(?:'([^'\n]{0,500})'|\"([^\"\n]{0,500})\"|`([^`]{0,500})`)"
        ),
    ),
    re.compile(
        r"(?<![\w$.])(?:[xf](?:it|test|describe|context)|(?:it|test|describe|suite|context)"
        r"(?:\.\w+)*\.(?:skip|skipIf|runIf|todo|only|fixme|failing|fails))\b"
        r"|\b(?:skip|todo)\s*:\s*(?:true|['\"])|\bthis\.skip\(|\b[tc]\w*\.skip\("
    ),
)
_JVM: Final = _Language(
    (
        re.compile(
            r"@(?:Test|ParameterizedTest|RepeatedTest|TestFactory|TestTemplate)\b[^;{}]{0,200}?\b(?:void|fun)\s+"
            r"(?:(\w+)|`([^`]+)`)\s*\("
        ),
    ),
    re.compile(
        r"@(?:Disabled\w*|EnabledIf\w*|Ignore)\b|\bassum(?:e|ing)(?:True|False|That|Not\w*)?\s*\(|enabled\s*=\s*false"
    ),
)
_LANGUAGES: Final = {
    "py": _Language(
        (re.compile(r"^[ \t]*(?:async[ \t]+)?def[ \t]+(test\w*)", re.MULTILINE),),
        re.compile(
            r"\bmark\.(?:skip|skipif|xfail)\b|\bpytest\.(?:skip|xfail|importorskip|exit)\b"
            r"|@(?:unittest\.)?(?:skip(?:If|Unless)?|expectedFailure)\b|\.skipTest\(|\bSkipTest\b"
            r"|\b__test__\s*=\s*False|\bcollect_ignore|@(?:pytest\.mark\.)?flaky\b"
        ),
    ),
    "js": _JS,
    "go": _Language(
        (re.compile(r"^func\s+(?:\([^)]*\)\s*)?((?:Test|Fuzz|Example|Benchmark)\w*)\s*\(", re.MULTILINE),),
        re.compile(r"\b\w+\.Skip(?:f|Now)?\(|^//go:build\b|^// \+build\b", re.MULTILINE),
    ),
    "java": _JVM,
    "rs": _Language(
        (re.compile(r"#\[(?:\w+::)?test\b[^\]]{0,200}\][^{;]{0,200}?\bfn\s+(\w+)"),),
        re.compile(r"#\[ignore\b|#\[cfg\((?!test\))")
    ),
    "rb": _Language(
        (re.compile(r"\bx?(?:it|specify)\s*\(?\s*(?:'([^'\n]{0,500})'|\"([^\"\n]{0,500})\")"),
         re.compile(r"\bdef\s+(test_\w+)")),
        re.compile(r"\b(?:x(?:it|describe|context)|pending|skip)\b"),
    ),
    "php": _Language(
        (re.compile(r"\bfunction\s+(test\w+)"), re.compile(r"#\[Test\][^{;]{0,200}?\bfunction\s+(\w+)")),
        re.compile(r"markTest(?:Skipped|Incomplete)|#\[(?:Requires|DoesNotPerform)\w*"),
    ),
    "cs": _Language(
        (re.compile(r"\[(?:Fact|Theory|Test|TestCase|TestMethod)\b[^{;]{0,200}?\b(?:void|Task)\s+(\w+)\s*\("),),
        re.compile(r"\bSkip\s*=|\[Ignore\b|\bAssert\.(?:Ignore|Inconclusive)\("),
    ),
}  # fmt: skip
_SUFFIXES: Final = {"js": "js jsx ts tsx mjs cjs mts cts vue svelte", "java": "java kt kts groovy scala"}
_LANGUAGE_OF: Final = {
    **_LANGUAGES,
    **{suffix: _LANGUAGES[name] for name, suffixes in _SUFFIXES.items() for suffix in suffixes.split()},
}


def is_test_file(path: str) -> bool:
    """Whether the path is that of a test file, or of a file that tests use."""
    parts = PurePosixPath(path.lower()).parts
    return bool(_FOLDERS & set(parts[:-1])) or any(fnmatchcase(parts[-1], pattern) for pattern in _NAMES)


def is_code(path: str) -> bool:
    """Whether the file is in a language whose tests are recognised."""
    return _language(path) is not None


def tests_in(path: str, text: str) -> Counter[str]:
    """Return how often a file has a test of each name; nothing for a file in another language."""
    language = _language(path)
    if language is None:
        return Counter()
    matches = [match for pattern in language.tests for match in pattern.finditer(text)]
    return Counter(next((group for group in match.groups() if group is not None), "") for match in matches)


def skips_in(path: str, text: str) -> int:
    """Return how many markers in a file skip a test, or let only some tests run."""
    language = _language(path)
    return sum(1 for _ in language.skips.finditer(text)) if language else 0


def _language(path: str) -> _Language | None:
    return _LANGUAGE_OF.get(PurePosixPath(path).suffix.lstrip(".").lower())
