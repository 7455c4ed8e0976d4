"""What a change does to the checks: each kind is named once, and ordinary work on tests is not."""

from pathlib import Path

import pytest

from flows.verification import changed_checks as changed_checks_module
from flows.verification import languages
from flows.verification.changed_checks import changed_checks
from tests.support.commits import commit_of, git

TEST_C = "def test_c():\n    pass\n"
PY = f"import pytest\n\ndef test_a():\n    assert f() == 1\n\ndef test_b():\n    assert f() == 2\n\n{TEST_C}"
JS = """describe('d', () => {
  it('adds', () => {});
  test('subtracts', () => {});
  it.each([1])('each %d', () => {});
});
"""
GO = "package a\n\nfunc TestA(t *testing.T) {\n}\n\nfunc TestB(t *testing.T) {\n}\n"
JAVA = """class ATest {
  @Test
  void adds() {}
  @ParameterizedTest
  @ValueSource(ints = {1})
  public void each(int n) {}
}
"""
RUST = "#[test]\nfn adds() {}\n#[tokio::test]\nasync fn waits() {}\n"
PACKAGE = (
    '{"name": "x", "scripts": {"test": "node tools/run.js", "build": "tsc"}, "jest": {"bail": 1}, "dependencies": {}}'
)
TOML = "[project]\nname = 'x'\n\n[tool.pytest.ini_options]\naddopts = '-q'\n\n[tool.ruff]\nline-length = 100\n"

BASE = {
    "Makefile": "test:\n\tpytest\n",
    "conftest.py": "x = 1\n",
    ".github/workflows/ci.yml": "on: push\n",
    "package.json": PACKAGE,
    "pyproject.toml": TOML,
    "setup.cfg": "[metadata]\nname = x\n[tool:pytest]\naddopts = -q\n",
    "pom.xml": "<project>\n<version>1</version>\n<skipTests>false</skipTests>\n</project>\n",
    "tests/test_a.py": PY,
    "tests/data/input.json": "{}",
    "src/a.test.ts": JS,
    "a_test.go": GO,
    "src/test/java/ATest.java": JAVA,
    "tests/it.rs": RUST,
    "scripts/check.sh": "pytest\nscripts/inner.sh\n",
    "scripts/inner.sh": "./scripts/deep.sh\n",
    "scripts/deep.sh": "true # deep\n",
    "scripts/other.sh": "true\n",
    "tests/run.sh": "pytest\n",
    "src/lib.rs": f"fn f() {{}}\n\n#[cfg(test)]\nmod tests {{\n{RUST}}}\n",
    ".npmrc": "registry=https://example.com\n",
    "Cargo.toml": "[package]\nname = 'x'\n",
    "tools/run.js": "run()\n",
    "checks/style.py": "style()\n",
    "src/main.py": "def f(): return 1\n",
    "README.md": "x\n",
}
COMMANDS = ("sh scripts/check.sh --all", "tests/run.sh", "npm test", "python -m checks.style", "pytest tests/test_a.py")


def changed(folder: Path, files: dict[str, str | None], commands: tuple[str, ...] = COMMANDS) -> tuple[str, ...]:
    """Commit a change on top of `BASE`; None removes a file."""
    base = commit_of(folder, BASE)
    for path, content in files.items():
        if content is None:
            git(folder, "rm", "-q", path)
    commit = commit_of(folder, {path: content for path, content in files.items() if content is not None})
    return changed_checks(folder / ".git", base, commit, commands)


@pytest.mark.parametrize(
    ("files", "lines"),
    [
        ({"tests/test_a.py": None}, ["tests/test_a.py: removed"]),
        ({"tests/data/input.json": None}, ["tests/data/input.json: removed"]),
        ({"tests/test_a.py": None, "old_a.py": PY}, ["tests/test_a.py: moved to old_a.py"]),
        ({"tests/test_a.py": PY.replace("def test_a", "def check_a")}, ["tests/test_a.py: 1 test skipped or removed"]),
        (
            {"tests/test_a.py": PY.replace("def test_a", "@pytest.mark.skip\ndef test_a").replace("test_b", "b")},
            ["tests/test_a.py: 2 tests skipped or removed"],
        ),
        ({"tests/test_a.py": f"pytestmark = pytest.mark.xfail\n{PY}"}, ["tests/test_a.py: 1 test skipped or removed"]),
        ({"tests/test_a.py": ""}, ["tests/test_a.py: 3 tests skipped or removed"]),
        ({"src/a.test.ts": JS.replace("it('adds", "it.skip('adds")}, ["src/a.test.ts: 1 test skipped or removed"]),
        ({"src/a.test.ts": JS.replace("  it('adds", "  xit('adds")}, ["src/a.test.ts: 1 test skipped or removed"]),
        ({"src/a.test.ts": JS.replace("test('sub", "test.only('sub")}, ["src/a.test.ts: 1 test skipped or removed"]),
        ({"src/a.test.ts": "describe('d', () => {});\n"}, ["src/a.test.ts: 3 tests skipped or removed"]),
        ({"a_test.go": GO.replace("{\n}", '{\n\tt.Skip("x")\n}')}, ["a_test.go: 2 tests skipped or removed"]),
        ({"a_test.go": GO.replace("TestA", "testA")}, ["a_test.go: 1 test skipped or removed"]),
        ({"a_test.go": f"//go:build never\n\n{GO}"}, ["a_test.go: 1 test skipped or removed"]),
        (
            {"src/test/java/ATest.java": JAVA.replace("  @Test", "  @Disabled\n  @Test")},
            ["src/test/java/ATest.java: 1 test skipped or removed"],
        ),
        (
            {"src/test/java/ATest.java": JAVA.replace("  @Test\n", "")},
            ["src/test/java/ATest.java: 1 test skipped or removed"],
        ),
        ({"tests/it.rs": RUST.replace("fn adds", "#[ignore]\nfn adds")}, ["tests/it.rs: 1 test skipped or removed"]),
        ({"package.json": PACKAGE.replace("node tools/run.js", "true")}, ["package.json: scripts.test changed"]),
        (
            {"package.json": PACKAGE.replace('"test"', '"pretest": "rm -r t", "test"')},
            ["package.json: scripts.pretest added"],
        ),
        ({"package.json": PACKAGE.replace('"bail": 1', '"bail": 0')}, ["package.json: jest changed"]),
        ({"package.json": "{"}, ["package.json: changed"]),
        ({"package.json": None}, ["package.json: removed"]),
        ({"pyproject.toml": TOML.replace("-q", "-k nothing")}, ["pyproject.toml: [tool.pytest.ini_options] changed"]),
        ({"pyproject.toml": TOML.replace("100", "1000")}, ["pyproject.toml: [tool.ruff] changed"]),
        ({"setup.cfg": BASE["setup.cfg"].replace("-q", "--co")}, ["setup.cfg: [tool:pytest] changed"]),
        ({"pom.xml": BASE["pom.xml"].replace("false", "true")}, ["pom.xml: lines about tests or checks changed"]),
        ({"Makefile": "test:\n\ttrue\n"}, ["Makefile"]),
        ({"conftest.py": "collect_ignore = ['tests']\n"}, ["conftest.py"]),
        ({"tests/conftest.py": "x = 2\n"}, ["tests/conftest.py: added"]),
        ({"pytest.ini": "[pytest]\n"}, ["pytest.ini: added"]),
        ({"sub/tox.ini": "[tox]\n"}, ["sub/tox.ini: added"]),
        ({".github/workflows/ci.yml": "on: never\n"}, [".github/workflows/ci.yml"]),
        ({"scripts/check.sh": "true\n"}, ["scripts/check.sh"]),
        ({"scripts/check.sh": None}, ["scripts/check.sh: removed"]),
        ({"tools/run.js": "\n"}, ["tools/run.js"]),
        ({"checks/style.py": "\n"}, ["checks/style.py"]),
        ({"Makefile": None, "tests/test_a.py": None}, ["Makefile: removed", "tests/test_a.py: removed"]),
        ({"scripts/inner.sh": "true\n"}, ["scripts/inner.sh"]),
        ({"scripts/deep.sh": "true\n"}, ["scripts/deep.sh"]),
        ({"tests/run.sh": "true\n"}, ["tests/run.sh"]),
        ({".claude-code-headless.yaml": "verify: 'true'\n"}, [".claude-code-headless.yaml: added"]),
        ({".npmrc": "script-shell=/bin/true\n"}, [".npmrc: lines about tests or checks changed"]),
        ({".cargo/config.toml": "[build]\n"}, [".cargo/config.toml: added"]),
        ({".mvn/maven.config": "-DskipTests\n"}, [".mvn/maven.config: added"]),
        ({"Cargo.toml": "[package]\nname = 'x'\nautotests = false\n"}, ["Cargo.toml: [package.autotests] changed"]),
        ({"src/a.test.ts": JS.replace("  it('", "  // it('")}, ["src/a.test.ts: 1 test skipped or removed"]),
        ({"src/a.test.ts": f"/*\n{JS}*/\n"}, ["src/a.test.ts: 3 tests skipped or removed"]),
        ({"src/a.test.ts": f"if (false) {{\n{JS}}}\n"}, ["src/a.test.ts: 1 test skipped or removed"]),
        ({"tests/test_a.py": f"'''\n{PY}'''\n"}, ["tests/test_a.py: 3 tests skipped or removed"]),
        ({"tests/test_a.py": f"{PY}\ndel test_a\n"}, ["tests/test_a.py: 1 test skipped or removed"]),
        ({"tests/it.rs": "/*\n" + RUST.replace("\n#", "\n*/\n#")}, ["tests/it.rs: 1 test skipped or removed"]),
        (
            {"src/test/java/ATest.java": JAVA.replace("  @Test", "  // @Test")},
            ["src/test/java/ATest.java: 1 test skipped or removed"],
        ),
        (
            {"src/lib.rs": BASE["src/lib.rs"].replace("#[test]\n", "#[test]\n#[ignore]\n")},
            ["src/lib.rs: 1 test skipped or removed"],
        ),
        ({"src/lib.rs": "fn f() {}\n"}, ["src/lib.rs: 2 tests skipped or removed"]),
        ({"src/lib.rs": None}, ["src/lib.rs: 2 tests skipped or removed"]),
        (
            {"main_test.go": "func TestMain(m *testing.M) {\n\tos.Exit(0)\n}\n"},
            ["main_test.go: can end or skip other tests"],
        ),
        ({"tests/test_b.py": "import os\nos._exit(0)\n"}, ["tests/test_b.py: can end or skip other tests"]),
        ({"src/b.test.ts": "it.only('x', () => {});\n"}, ["src/b.test.ts: can end or skip other tests"]),
    ],
    ids=lambda value: "+".join(value)[:60] if isinstance(value, list) else "",
)  # fmt: skip
def test_a_change_of_the_checks_is_named(tmp_path: Path, files: dict[str, str | None], lines: list[str]) -> None:
    assert changed(tmp_path, files) == tuple(lines)


@pytest.mark.parametrize(
    "files",
    [
        {"src/main.py": "def f(): return 2\n"},
        {"tests/test_b.py": f"import pytest\n{PY}"},
        {"tests/test_b.py": "import pytest\n\n@pytest.mark.skip\ndef test_new():\n    pass\n"},
        {"tests/test_a.py": f"{PY}\ndef test_d():\n    pass\n"},
        {"tests/test_a.py": PY.replace("f() == 1", "f() == 3")},
        {"tests/test_a.py": PY.replace(TEST_C, ""), "tests/test_b.py": TEST_C},
        {"src/a.test.ts": JS.replace("test('sub", "test('multiplies', () => {});\n  test('sub")},
        {"package.json": PACKAGE.replace('"dependencies": {}', '"dependencies": {"a": "1"}')},
        {"package.json": PACKAGE.replace('"build"', '"prepare": "x", "start": "node .", "build"')},
        {"pyproject.toml": TOML.replace("name = 'x'", "name = 'x'\ndependencies = ['a']")},
        {"pom.xml": BASE["pom.xml"].replace("<version>1", "<version>2")},
        {"setup.cfg": BASE["setup.cfg"].replace("name = x", "name = y")},
        {"README.md": "check.sh\n", "docs/scripts.md": "y"},
        {"scripts/other.sh": "false\n"},
        {"src/lib.rs": BASE["src/lib.rs"].replace("fn f() {}", '#[cfg(feature = "a")]\nfn f() {}\nfn g() {}')},
        {".npmrc": "registry=https://example.org\n", "Cargo.toml": "[package]\nname = 'y'\n"},
    ],
    ids=[
        "code", "new-file", "new-file-with-skip", "new-test", "expectation", "moved-test", "new-js-test", "dependency",
        "other-script", "toml-dependency", "version", "metadata", "documents",
        "unused-script", "rust-code", "registry",
    ],
)  # fmt: skip
def test_other_changes_are_not(tmp_path: Path, files: dict[str, str | None]) -> None:
    assert changed(tmp_path, files) == ()


def test_a_test_file_that_is_too_large_to_compare_is_named(tmp_path: Path) -> None:
    files: dict[str, str | None] = {"tests/test_a.py": PY + "#" * 2**19, "tests/data/input.json": "x" * 2**20}
    assert changed(tmp_path, files) == ("tests/test_a.py: changed, and too large to compare",)


def test_very_many_test_files_are_named_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changed_checks_module, "_MAX_ALL_BYTES", 3 * len(PY))
    files: dict[str, str | None] = {f"tests/test_{n}.py": f"{PY}# {n}\n" for n in range(4)}
    lines = changed(tmp_path, files)
    assert len(lines) == 2
    assert all(line.endswith("changed, and too large to compare") for line in lines)


def test_make_names_the_scripts_that_it_runs(tmp_path: Path) -> None:
    files: dict[str, str | None] = {"scripts/inner.sh": "true\n", "scripts/other.sh": "false\n"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BASE, "Makefile", "test:\n\tbash scripts/check.sh\n")
        assert changed(tmp_path, files, ("make test",)) == ("scripts/inner.sh",)


def test_a_test_that_is_moved_to_a_file_that_skips_is_named(tmp_path: Path) -> None:
    moved = "import pytest\npytestmark = pytest.mark.skip\n\ndef test_c():\n    pass\n"
    files: dict[str, str | None] = {"tests/test_a.py": PY.replace("test_c", "c"), "tests/test_b.py": moved}
    assert changed(tmp_path, files) == ("tests/test_a.py: 1 test skipped or removed",)


def test_a_command_that_changes_its_folder_names_files_there(tmp_path: Path) -> None:
    files: dict[str, str | None] = {"scripts/check.sh": "true\n"}
    assert changed(tmp_path, files, ("cd scripts && ./check.sh",)) == ("scripts/check.sh",)


@pytest.mark.parametrize(
    "command",
    ["test ! -e slow", "[ ! -f slow ]", "! test -e slow && pytest", "pytest -q && ! [ -e slow ]", "test ! -s slow&&a"],
)
def test_a_new_file_that_can_only_make_a_command_fail_is_no_change_of_it(tmp_path: Path, command: str) -> None:
    assert changed(tmp_path, {"slow": "x"}, (command,)) == ()
    assert changed(tmp_path, {"slow": None}, (command,)) == ("slow: removed",)


@pytest.mark.parametrize(
    "command",
    [
        "test ! -e slow || pytest",
        "test -e slow",
        "[ -e slow ] || pytest",
        "if test ! -e slow; then pytest; fi",
        "! bash -c 'pytest && test ! -e slow && true'",
        "test ! -e slow && cat slow",
        "test ! -e slow & pytest",
        "$(test ! -e slow && echo pytest)",
    ],
)
def test_another_new_file_that_a_command_names_is(tmp_path: Path, command: str) -> None:
    assert changed(tmp_path, {"slow": "x"}, (command,)) == ("slow: added",)


def test_the_lines_are_safe_to_show_and_limited(tmp_path: Path) -> None:
    many: dict[str, str | None] = {f"d{n}/conftest.py": "x" for n in range(205)}
    lines = changed(tmp_path, {**many, "\x1b[31m\u202e/conftest.py": "x"})
    assert len(lines) == 201
    assert lines[-1] == "and 6 more"
    assert not any("\x1b" in line or "\u202e" in line for line in lines)


def test_nothing_is_changed_between_a_commit_and_itself(tmp_path: Path) -> None:
    commit = commit_of(tmp_path, BASE)
    assert changed_checks(tmp_path / ".git", commit, commit, COMMANDS) == ()


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("ATest.java", "@Test "),
        ("ATest.java", "/* "),
        ("ATest.java", " "),
        ("test_a.py", '"""'),
        ("test_a.py", "''\\'"),
        ("a_spec.rb", "=begin\n"),
        ("a.test.ts", "it.each( "),
        ("b.test.ts", "it.each`"),
        ("c.test.ts", "it('"),
        ("it.rs", "#[test] "),
        ("it.rs", "#[test"),
        ("ATests.cs", "[Fact] "),
        ("ATest.php", "#[Test] "),
        ("a_spec.rb", 'it "'),
        ("test_a.py", "async "),
        ("a_test.go", "func ("),
    ],
)
def test_no_text_makes_the_search_endless(name: str, unit: str) -> None:
    text = unit * (2**19 // len(unit))
    assert languages.tests_in(f"tests/{name}", text).total() >= 0
    assert languages.skips_in(f"tests/{name}", text) >= 0
    assert languages.stops_in(f"tests/{name}", text) >= 0
