"""Recognises test files, and the tests and skip markers in them, by simple patterns of each language.

A pattern reads text, not a program: a test that a loop generates does not count. A comment that begins a line hides
the tests in it. There are patterns for pytest and unittest; Jest, Vitest, Mocha and node:test; Go's testing; JUnit for
Java and Kotlin; Rust's tests; RSpec and minitest; PHPUnit; xUnit, NUnit and MSTest. Repetitions are bounded, because
the text is the agent's.
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
    stops: Pattern[str]
    """What can end or skip tests of other files as well."""
    comments: Pattern[str] = re.compile(r"^[ \t]*(?://[^\n]*|/\*(?s:.*?)(?:\*/|\Z))", re.MULTILINE)


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
        r"|\b(?:skip|todo)\s*:\s*(?:true|['\"])|\bthis\.skip\(|\b[tc]\w*\.skip\(|\bif\s*\(\s*(?:false|0)\s*\)"
    ),
    re.compile(r"\b(?:it|test|describe|suite|context)\.only\b|\bprocess\.(?:(?:exit|reallyExit|abort)\(|exitCode\s*=)"),
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
    re.compile(r"\bSystem\.exit\(|\.halt\("),
)
_LANGUAGES: Final = {
    "py": _Language(
        (re.compile(r"^[ \t]*(?:(?:async[ \t]+)?def[ \t]+(test\w*)|class[ \t]+(Test\w*))", re.MULTILINE),),
        re.compile(
            r"\bmark\.(?:skip|skipif|xfail)\b|\bpytest\.(?:skip|xfail|importorskip|exit)\b"
            r"|@(?:unittest\.)?(?:skip(?:If|Unless)?|expectedFailure)\b|\.skipTest\(|\bSkipTest\b"
            r"|\b__test__\s*=\s*False|\bcollect_ignore|@(?:pytest\.mark\.)?flaky\b"
            r"|^[ \t]*(?:if[ \t]+(?:False|0)[ \t]*:|del[ \t]+[Tt]est)",
            re.MULTILINE,
        ),
        re.compile(r"\bpytest\.exit\b|\bos\._exit\(|^pytest_plugins\b", re.MULTILINE),
        re.compile(r"(\"{3}|'{3})(?s:.*?)(?:\1|\Z)"),
    ),
    "js": _JS,
    "go": _Language(
        (re.compile(r"^func\s+(?:\([^)]*\)\s*)?((?:Test|Fuzz|Example|Benchmark)\w*)\s*\(", re.MULTILINE),),
        re.compile(r"\b\w+\.Skip(?:f|Now)?\(|^//go:build\b|^// \+build\b", re.MULTILINE),
        re.compile(r"\bfunc\s+TestMain\s*\(|\b(?:os|syscall)\.Exit\("),
    ),
    "java": _JVM,
    "rs": _Language(
        (re.compile(r"#\[(?:\w+::)?test\b[^\]]{0,200}\][^{;]{0,200}?\bfn\s+(\w+)"),),
        re.compile(r"#\[ignore\b|#\[cfg\((?!test\))"),
        re.compile(r"\bprocess::(?:exit|abort)\("),
    ),
    "rb": _Language(
        (re.compile(r"\bx?(?:it|specify)\s*\(?\s*(?:'([^'\n]{0,500})'|\"([^\"\n]{0,500})\")"),
         re.compile(r"\bdef\s+(test_\w+)")),
        re.compile(r"\b(?:x(?:it|describe|context)|pending|skip)\b"),
        re.compile(r"\bexit!|\bat_exit\b"),
        re.compile(r"^(?:[ \t]*#[^\n]*|=begin\b(?s:.*?)(?:^=end\b|\Z)|__END__$(?s:.*))", re.MULTILINE),
    ),
    "php": _Language(
        (re.compile(r"\bfunction\s+(test\w+)"), re.compile(r"#\[Test\][^{;]{0,200}?\bfunction\s+(\w+)")),
        re.compile(r"markTest(?:Skipped|Incomplete)|#\[(?:Requires|DoesNotPerform)\w*"),
        re.compile(r"\b(?:exit|die)\s*[(;]"),
        re.compile(r"^[ \t]*(?:(?://|#(?!\[))[^\n]*|/\*(?s:.*?)(?:\*/|\Z))", re.MULTILINE),
    ),
    "cs": _Language(
        (re.compile(r"\[(?:Fact|Theory|Test|TestCase|TestMethod)\b[^{;]{0,200}?\b(?:void|Task)\s+(\w+)\s*\("),),
        re.compile(r"\bSkip\s*=|\[Ignore\b|\bAssert\.(?:Ignore|Inconclusive)\(|^[ \t]*#if\b", re.MULTILINE),
        re.compile(r"\bEnvironment\.(?:Exit|FailFast)\("),
    ),
}  # fmt: skip
_INLINE_SKIPS: Final = re.compile(r"#\[ignore\b")
_SUFFIXES: Final = {"js": "js jsx ts tsx mjs cjs mts cts vue svelte", "java": "java kt kts groovy scala"}
_LANGUAGE_OF: Final = {
    **_LANGUAGES,
    **{suffix: _LANGUAGES[name] for name, suffixes in _SUFFIXES.items() for suffix in suffixes.split()},
}


def is_test_file(path: str) -> bool:
    """Whether the path is that of a test file, or of a file that tests use."""
    parts = PurePosixPath(path.lower()).parts
    return bool(_FOLDERS & set(parts[:-1])) or any(fnmatchcase(parts[-1], pattern) for pattern in _NAMES)


def has_inline_tests(path: str) -> bool:
    """Whether the path is that of a source file which may have tests beside the code, as in Rust."""
    return path.lower().endswith(".rs") and not is_test_file(path)


def is_code(path: str) -> bool:
    """Whether the file is in a language whose tests are recognised."""
    return _language(path) is not None


def tests_in(path: str, text: str) -> Counter[str]:
    """Return how often a file has a test of each name; nothing for a file in another language."""
    language = _language(path)
    if language is None:
        return Counter()
    text = language.comments.sub("", text)
    matches = [match for pattern in language.tests for match in pattern.finditer(text)]
    return Counter(next((group for group in match.groups() if group is not None), "") for match in matches)


def skips_in(path: str, text: str) -> int:
    """Return how many markers in a file skip a test, or let only some tests run."""
    language = _language(path)
    if language is None:
        return 0
    return sum(1 for _ in (_INLINE_SKIPS if has_inline_tests(path) else language.skips).finditer(text))


def stops_in(path: str, text: str) -> int:
    """Return how many places in a file can end or skip tests of other files as well."""
    language = _language(path)
    return sum(1 for _ in language.stops.finditer(text)) if language else 0


def _language(path: str) -> _Language | None:
    return _LANGUAGE_OF.get(PurePosixPath(path).suffix.lstrip(".").lower())
