"""Reads the JUnit files that a verify command wrote. A stranger's program wrote them, so they are read with care.

Files are found and read by commands that run as the agent's user and follow no link. A document type, with which a file
could define entities, is refused. A file counts only if it was written after the command had started: no user can set a
file's time of change back.
"""

import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from re import Pattern, escape
from re import compile as compile_pattern
from tempfile import TemporaryFile
from typing import Final
from xml.parsers import expat

from flows.errors import RunError
from flows.sandbox import commands
from flows.sandbox.workspace import Workspace
from flows.text_safety import one_line, sanitize
from flows.verification.results import TestCounts

MAX_BYTES: Final = 10 * 2**20
"""The most bytes that all JUnit files of a command may have."""

_MAX_FILES: Final = 1_000
_MAX_NAMES: Final = 1_000
_NAME_CHARACTERS: Final = 300
_MARKER: Final = "verify-started"
_LISTING_BYTES: Final = 2**24
_OVERHEAD_BYTES: Final = 2**21
"""How many bytes tar may add to the files."""

_FAULTS: Final = frozenset({"failure", "error"})


def mark_start(workspace: Workspace) -> None:
    """Remember this moment: `read_junit` reads the files that are written from now on."""
    marker = workspace.config / _MARKER
    marker.unlink(missing_ok=True)
    workspace.lend(marker, b"")


def read_junit(
    workspace: Workspace, patterns: Sequence[str], log: Callable[[str], None]
) -> tuple[TestCounts | None, tuple[str, ...]]:
    """Return the numbers in the JUnit files written since `mark_start`, and the patterns that no such file matches.

    The numbers are None if no file can be used.

    Args:
        workspace: The run's directories. No process of the agent's user may be alive.
        patterns: Patterns of paths below the work tree.
        log: Called with the reason why a file is not used.
    """
    if not patterns:
        return None, ()
    tests = _Tests()
    count, unmatched = 0, tuple(patterns)
    try:
        paths = _find(workspace, patterns)
        unmatched = tuple(pattern for pattern in patterns if not any(map(_expression(pattern).fullmatch, paths)))
        for path, content in _read(workspace, paths):
            try:
                tests.add(content)
                count += 1
            except (expat.ExpatError, _RefusedError, ValueError, LookupError) as error:
                log(f"the JUnit file {path!r} is not used: {error}")
    except (_RefusedError, RunError, tarfile.TarError) as error:
        log(f"the JUnit files are not used: {error}")
        return None, unmatched
    return (tests.counts if count else None), unmatched


class _RefusedError(Exception):
    """A file has too many bytes, or a form that is not read."""


def _find(workspace: Workspace, patterns: Sequence[str]) -> list[str]:
    """Return the paths of the regular files that match a pattern and were written since `mark_start`."""
    # find's * also stands for a slash, so that it finds more than the patterns mean.
    tests = [part for pattern in patterns for part in ("-o", "-path", f"./{pattern.replace('**/', '*')}")][1:]
    newer = ["-cnewer", str(workspace.config / _MARKER)]
    skip = ["-path", "./.git", "-prune", "-o"]
    find = ["find", ".", *skip, "-type", "f", *newer, "(", *tests, ")", "-print0"]
    script = 'cd "$1" && shift && exec "$@"'
    line = ["sh", "-c", script, "sh", str(workspace.work_tree), *find]
    # A folder that cannot be read ends find with an error, after it has listed the others.
    output = commands.run(workspace, line, output_limit_bytes=_LISTING_BYTES).stdout.decode("utf-8", "surrogateescape")
    expressions = [_expression(pattern) for pattern in patterns]
    paths = [path.removeprefix("./") for path in output.split("\0") if path]
    matching = sorted(path for path in paths if any(expression.fullmatch(path) for expression in expressions))
    if len(matching) > _MAX_FILES:
        raise _RefusedError(f"there are more than {_MAX_FILES:,}")
    return matching


@cache
def _expression(pattern: str) -> Pattern[str]:
    """Return the regular expression of a pattern: `*` and `?` match no slash, and `**` any number of folders."""
    text = escape(pattern).replace(r"\*\*/", "(?:[^/]+/)*").replace(r"\*\*", ".*")
    return compile_pattern(text.replace(r"\*", "[^/]*").replace(r"\?", "[^/]"))


def _read(workspace: Workspace, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the path and the content of each file. tar reads them, because it follows no link."""
    if not paths:
        return
    limit = MAX_BYTES + _OVERHEAD_BYTES
    tar = ["tar", "-c", "-f", "-", "-C", str(workspace.work_tree), "--no-recursion", "--null", "-T", "-"]
    # A sparse file may be larger than any disk: head ends tar at the limit.
    line = ["sh", "-c", '"$@" | head -c "$LIMIT"', "sh", *tar]
    with TemporaryFile() as rows:
        rows.write("".join(f"./{path}\0" for path in paths).encode("utf-8", "surrogateescape"))
        rows.seek(0)
        result = commands.run(workspace, line, stdin=rows, environment={"LIMIT": str(limit)})
    commands.check(result, "read the JUnit files")
    if len(result.stdout) >= limit:
        raise _RefusedError(f"they have more than {MAX_BYTES // 2**20} MiB")
    with tarfile.open(fileobj=BytesIO(result.stdout), mode="r:") as archive:
        size = 0
        for entry in archive:
            file = archive.extractfile(entry) if entry.isreg() else None
            size += entry.size
            if size > MAX_BYTES:
                raise _RefusedError(f"they have more than {MAX_BYTES // 2**20} MiB")
            if file:
                yield entry.name.removeprefix("./"), file.read()


@dataclass
class _Tests:
    """The test cases of all files so far."""

    tests: int = 0
    failed: int = 0
    skipped: int = 0
    names: dict[str, None] = field(default_factory=dict)

    @property
    def counts(self) -> TestCounts:
        """The numbers, and the names of the failed tests in their order."""
        return TestCounts(self.tests, self.failed, self.skipped, tuple(self.names)[:_MAX_NAMES])

    def add(self, content: bytes) -> None:
        """Count the test cases of one JUnit file. If the file cannot be used, raise an error and count none."""
        cases = list(_cases(content))
        for name, outcomes in cases:
            self.tests += 1
            if outcomes & _FAULTS:
                self.failed += 1
                self.names[name] = None
            elif "skipped" in outcomes:
                self.skipped += 1


def _cases(content: bytes) -> Iterable[tuple[str, frozenset[str]]]:
    """Return the name of each test case, and the names of the elements in it."""
    cases = list[tuple[str, set[str]]]()
    open_elements = list[str]()

    def start(tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        if not open_elements and name not in {"testsuites", "testsuite"}:
            raise _RefusedError(f"it begins with {tag[:50]!r} and not with testsuites or testsuite")
        if name == "testcase":
            group = attributes.get("classname") or attributes.get("file") or ""
            cases.append((_name(group, attributes.get("name", "")), set()))
        elif open_elements and open_elements[-1] == "testcase":
            cases[-1][1].add(name)
        open_elements.append(name)

    def end(_: str) -> None:
        open_elements.pop()

    def refuse(*_: object) -> None:
        raise _RefusedError("it has a document type, with which it could define entities")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.Parse(content, True)  # noqa: FBT003 (the parser takes no keywords)
    return [(name, frozenset(outcomes)) for name, outcomes in cases]


def _name(group: str, name: str) -> str:
    text = f"{group[:_NAME_CHARACTERS]}::{name[:_NAME_CHARACTERS]}" if group else name[:_NAME_CHARACTERS]
    return one_line(sanitize(text))
