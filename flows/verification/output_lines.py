"""Reads the lines of a test tool's output, to compare two runs of one command.

Durations, addresses, dates, positions in files, paths of temporary files, numbers of tests and numbers in an order do
not count. A number of failures may be smaller. A line that only says that something passes may be new.
"""

import re
from typing import Final

PASSING: Final = "<passes>"
"""Stands for a line that says that something passes, or that it starts, or how much of it is done."""

_FAULT_WORDS: Final = r"(?:failed|failures?|failing|fail|errors?|errored|broken|problems?)"

_IGNORED: Final = (
    (re.compile(r"(\.\w{1,6}):\d+(?::\d+)?\b|(\bline )\d+"), r"\1\2<position>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b"), "<address>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)?"), "<time>"),
    (re.compile(r"\b\d\d?:\d\d(?::\d\d)?(?:[.,]\d+)?\b"), "<time>"),
    (re.compile(r"(?:/private)?/(?:var/)?tmp/[\w./+@-]*|/var/folders/[\w./+@-]*"), "<path>"),
    (re.compile(r"(?<!\S)\S*/agent/tmp/[\w./+@-]*"), "<path>"),
    (re.compile(r"\bduration_ms:? \d+(?:\.\d+)?"), "<duration>"),
    (re.compile(r"\b\d+(?:[.,]\d+){0,3}(?:\s?(?:ns|[uµ]s|ms|s|secs?|seconds?|mins?|minutes?)|m)\b"), "<duration>"),
    (re.compile(r"\b(?:pid|PID|seed|Seed)[ =:]+\d+"), "<number>"),
    (re.compile(r"\[ ?\d{1,3}%\]|^\[gw\d+\]"), ""),
    (re.compile(r"^not ok \d+\b"), "not ok"),
    (re.compile(r"^\d+/\d+ Test #\d+:"), "Test:"),
    (re.compile(r"([=\-_*#.~])\1{3,}"), "<rule>"),
)  # fmt: skip
"""What differs from one run of a command to the next, and the text that stands for it."""

_HARMLESS: Final = (
    re.compile(r"(?<=failed)(?: \| \d+ (?:passed|skipped|todo))* \(\d+\)$"),
    re.compile(
        r"[,;]?\s*\b\d+\s+(?:tests?\s+)?"
        r"(?:passed|passing|pass|ok|skipped|warnings?|deselected|xfailed|xpassed|ignored|measured|filtered out|total"
        r"|left unchanged|already formatted)\b",
        re.IGNORECASE,
    ),
    re.compile(
        r"\b(?:tests run|tests|assertions|passed|passing|pass|suites|skipped|todo)\b:? ?\d+\b"
        rf"(?! (?:tests? )?{_FAULT_WORDS}\b),?",
        re.IGNORECASE,
    ),
    re.compile(r"\b\d+% tests passed, | out of \d+$"),
    re.compile(
        r"\b(?:checked )?\d+ (?:test cases?|test suites?|tests?|items?|examples?|specs?|assertions?|source files?)\b"
        rf"(?! {_FAULT_WORDS}\b)",
        re.IGNORECASE,
    ),
)
"""A number that may be any other."""

_FAULTS: Final = re.compile(
    rf"\b(\d+)(?=\s+(?:tests?\s+)?{_FAULT_WORDS}\b)"
    r"|(?<=failures=)(\d+)|(?<=errors=)(\d+)|(?<=failed=)(\d+)|(?<=failures: )(\d+)|(?<=errors: )(\d+)"
    r"|(?<=\bfail )(\d+)",
    re.IGNORECASE,
)
"""A number of failures, which may be smaller."""

_PASSES: Final = re.compile(
    r"[✓✔√✅] .*"
    r"|ok \d+\b.*"
    r"|ok \S+ (?:<duration>|\(cached\)).*"
    r"|PASS \S+(?: \(<duration>\))?"
    r"|--- PASS: .*"
    r"|\[ (?:OK|PASSED) \] .*"
    r"|[^\s:]+::.* PASSED|PASSED [^\s:]+::.*"
    r"|(?:test|test_\S*) .*\.\.\. ok"
    r"|Test: .* Passed(?: <duration>)?"
    r"|.*Failures: 0, Errors: 0\b.*"
)
"""The forms in which test tools say that one test or one file passes. Its name may be any text."""

_STARTS: Final = re.compile(
    r"=== (?:RUN|PAUSE|CONT|NAME)\b.*|\[ RUN \] .*|\[INFO\] Running \S+|Start \d+: .*|test_\w+ \([\w.]+\)"
    r"|\d+\.\.\d+"  # the plan of the tests
    r"|\S+\.\w{1,4} [.sx]+|[sx]*\.[.sx]*"  # each dot is a test that passes
    r"|\S+ \d+ \d+(?: \d+ \d+)? \d+%.*"  # the coverage of a file
)
"""The forms in which test tools say that something starts, or how much is done."""

_PASS_WORD: Final = re.compile(
    r"(?:ok|pass|passes|passed|success|succeeded)\b.*|.*(?<!\S)(?:ok|pass|passes|passed|[✓✔])", re.IGNORECASE
)
_BAD_WORD: Final = re.compile(
    r"fail|err|\bnot?\b|n't\b|exception|panic|fatal|traceback|broken|missing|denied|refused|crash|abort|\bof\b"
    r"|time(?:d )?-?out|warn|invalid|undefined|unexpected|unable|problem|kill"
    r"|segmentation|dumped|\bbut\b|<count>|[✗✘\u00d7✖❌]",
    re.IGNORECASE,
)
"""A line that begins or ends with a word of success says that something passes, if it has no word of failure."""

_DOTS: Final = re.compile(r"((?:\S+\.\w{1,4} )?)(?=[.sx]*[FE])([.sxFE]{2,})")
_LINE_CHARACTERS: Final = 1_000
"""How much of a line is searched for what may differ. All of it is compared."""


def normalized(output: str) -> list[str]:
    """Return the lines without what differs from one run to the next, and without lines that have nothing else.

    `PASSING` stands for each line that only says that something passes.
    """
    lines = []
    for whole in output.split("\n"):
        line, rest = " ".join(whole[:_LINE_CHARACTERS].split()), whole[_LINE_CHARACTERS:]
        for pattern, text in _IGNORED:
            line = " ".join(pattern.sub(text, line).split())
        if not rest and _is_passing(line):
            lines.append(PASSING)
            continue
        for pattern in _HARMLESS:
            line = pattern.sub("", line)
        if dots := _DOTS.fullmatch(line):
            line = dots[1] + re.sub("[.sx]", "", dots[2])
        if text := " ".join((line + rest).split()):
            lines.append(text)
    return lines


def without_counts(line: str) -> str:
    """Return a line without its numbers of failures."""
    return _FAULTS.sub("<count>", line)


def counts_no_more(line: str, other: str) -> bool:
    """Whether two lines differ at most in numbers of failures, which are not larger in the first line."""
    if line == other:
        return True
    if without_counts(line) != without_counts(other):
        return False
    return all(new <= old for new, old in zip(_faults(line), _faults(other), strict=True))


def _faults(line: str) -> list[int]:
    return [int(match[0]) for match in _FAULTS.finditer(line)]


def _is_passing(line: str) -> bool:
    if _PASSES.fullmatch(line) or _STARTS.fullmatch(line):
        return True
    return bool(_PASS_WORD.fullmatch(line)) and not _BAD_WORD.search(without_counts(line))
