"""JUnit files of real processes: good ones, and ones that attack their reader."""

from collections.abc import Iterator

import pytest

from flows.sandbox import commands
from flows.sandbox.workspace import Workspace, workspace
from flows.verification.junit import mark_start, read_junit
from flows.verification.results import TestCounts

GOOD = "<testsuite><testcase classname='c' name='n'/></testsuite>"
ONE = TestCounts(1, 0, 0)


@pytest.fixture
def directories() -> Iterator[Workspace]:
    with workspace() as made:
        yield made


def read(directories: Workspace, script: str, *patterns: str) -> tuple[TestCounts | None, str]:
    """Run a script as the agent; return what is read, and the log."""
    log: list[str] = []
    mark_start(directories)
    line = ["bash", "-ec", f"cd {directories.work_tree}\n{script}"]
    commands.check(commands.run(directories, line), "write files")
    return read_junit(directories, patterns or ("*.xml",), log.append)[0], "\n".join(log)


def write(name: str, content: str) -> str:
    return f"mkdir -p $(dirname {name}); cat > {name} <<'EOF'\n{content}\nEOF\n"


@pytest.mark.parametrize(
    ("content", "counts"),
    [
        (GOOD, ONE),
        ("<testsuites><testsuite><testsuite><testcase name='a'/></testsuite></testsuite></testsuites>", ONE),
        ("<?xml version='1.0' encoding='ISO-8859-1'?>" + GOOD, ONE),
        ("<j:testsuite xmlns:j='x'><j:testcase name='a'><j:failure/></j:testcase></j:testsuite>",
         TestCounts(1, 1, 0, ("a",))),
        ("<testsuite><testcase file='f' name='a'><failure/><error/><system-out>x</system-out></testcase></testsuite>",
         TestCounts(1, 1, 0, ("f::a",))),
        ("<testsuite><testcase name='a'><system-out><failure/></system-out></testcase></testsuite>", ONE),
        ("<testsuite><testcase name='a&#10;b &#x202e;'><failure/></testcase></testsuite>",
         TestCounts(1, 1, 0, ("a b",))),
        ("<testsuite tests='9' failures='9'/>", TestCounts(0, 0, 0)),
    ],
    ids=["one", "nested", "encoding", "prefix", "two-faults", "deeper", "name", "empty"],
)  # fmt: skip
def test_the_test_cases_are_counted(directories: Workspace, content: str, counts: TestCounts) -> None:
    assert read(directories, write("a.xml", content)) == (counts, "")


def test_the_patterns_choose_the_files(directories: Workspace) -> None:
    script = "".join(write(name, GOOD) for name in ("a.xml", "r/b.xml", "r/s/c.xml", "x/TEST-d.xml", ".git/e.xml"))
    assert read(directories, script, "r/*.xml")[0] == ONE
    assert read(directories, script, "**/*.xml")[0] == TestCounts(4, 0, 0)
    assert read(directories, script, "r/**/*.xml", "r/b.xml")[0] == TestCounts(2, 0, 0)
    assert read(directories, script, "**/TEST-?.xml")[0] == ONE
    assert read(directories, script, "b.xml") == (None, "")
    assert read(directories, write("r/-o.xml", GOOD), "r/-o.xml")[0] == ONE


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (write("a.xml", '<!DOCTYPE x [<!ENTITY a "b">]><testsuite>&a;</testsuite>'), "a document type"),
        (write("a.xml", '<!DOCTYPE x SYSTEM "file:///etc/passwd"><testsuite/>'), "a document type"),
        (
            write("a.xml", '<?xml version="1.0"?><!DOCTYPE t [<!ENTITY % e SYSTEM "http://x/">%e;]><t/>'),
            "document type",
        ),
        (write("a.xml", "<testsuite>&undefined;</testsuite>"), "undefined entity"),
        (write("a.xml", "<testsuite>"), "'a.xml' is not used: no element found"),
        (write("a.xml", "<html/>"), "it begins with 'html'"),
        (write("a.xml", "not xml"), "'a.xml' is not used: syntax error"),
        (": > a.xml", "no element found"),
        (f"{write('a.xml', GOOD)}head -c 11000000 /dev/zero >> a.xml", "more than 10 MiB"),
        ("truncate -s 20G a.xml", "more than 10 MiB"),
        (f"{write('b', GOOD)}for i in $(seq 1001); do cp b $i.xml; done", "more than 1,000"),
        ('printf \'<?xml version="1.0" encoding="none-such"?><testsuite/>\' > a.xml', "unknown encoding"),
    ],
    ids=[
        "entity",
        "system",
        "parameter",
        "undefined",
        "cut",
        "html",
        "text",
        "empty",
        "large",
        "sparse",
        "many",
        "code",
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_nothing_is_counted(
    directories: Workspace, script: str, message: str
) -> None:
    counts, log = read(directories, script)
    assert counts is None
    assert message in log


def test_patterns_without_a_new_file_are_named(directories: Workspace) -> None:
    commands.check(
        commands.run(directories, ["bash", "-c", f"cd {directories.work_tree}; {write('old.xml', GOOD)}"]), "x"
    )
    mark_start(directories)
    line = ["bash", "-c", f"cd {directories.work_tree}; {write('r/new.xml', GOOD)}"]
    commands.check(commands.run(directories, line), "write a file")
    patterns = ("r/*.xml", "old.xml", "reports/*.xml", "**/new.xml")
    assert read_junit(directories, patterns, print) == (ONE, ("old.xml", "reports/*.xml"))
    assert read_junit(directories, (), print) == (None, ())


def test_links_and_special_files_are_not_read(directories: Workspace) -> None:
    secret = directories.trusted / "secret.xml"
    secret.write_text(GOOD)
    script = (
        f"{write('elsewhere/good.txt', GOOD)}ln -s elsewhere/good.txt a.xml; ln -s {secret} b.xml; mkfifo c.xml; "
        "ln -s elsewhere d; cp elsewhere/good.txt elsewhere/e.xml; mkdir f.xml"
    )
    assert read(directories, script, "*.xml", "d/*.xml") == (None, "")


def test_deep_and_wide_files_are_read(directories: Workspace) -> None:
    many = "<testcase name='{}'><failure/></testcase>"
    script = (
        "(echo '<testsuite>'; for i in $(seq 20000); do echo '<a>'; done; for i in $(seq 20000); do echo '</a>'; done; "
        f"for i in $(seq 1500); do echo \"{many.format('$i')}\"; done; echo '</testsuite>') > a.xml"
    )
    counts, log = read(directories, script)
    assert counts is not None
    assert (counts.tests, counts.failed, len(counts.failed_names), log) == (1500, 1500, 1000, "")
