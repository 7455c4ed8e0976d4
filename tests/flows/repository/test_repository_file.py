"""The repository's own settings: what is read from the default branch, and what is refused by name."""

from pathlib import Path

import pytest

from flows.errors import InvalidRepositoryFile
from flows.repository.repository_file import NAME, RepositoryFile, read_repository_file
from flows.sandbox.services import Service
from tests.support.commits import commit_of, git


def read(folder: Path, files: dict[str, str | bytes | Path]) -> RepositoryFile:
    folder.mkdir(exist_ok=True)
    commit = commit_of(folder, {"README.md": "x", **files})
    git(folder, "update-ref", "refs/remotes/origin/main", commit)
    return read_repository_file(folder / ".git", "main")


@pytest.mark.parametrize(
    ("content", "setup"),
    [
        ("setup: npm ci\n", "npm ci"),
        ("setup: |\n  npm ci\n  make deps\n", "npm ci\nmake deps"),
        ("\ufeff# a comment\nsetup: 'echo ü'\n", "echo ü"),
        ("setup:\n", ""),
        ("setup: true\n", "true"),
        ("", ""),
        ("# nothing\n", ""),
    ],
    ids=["line", "lines", "bom", "empty", "word", "empty-file", "comment"],
)
def test_the_setup_is_read(tmp_path: Path, content: str, setup: str) -> None:
    file = read(tmp_path, {NAME: content})
    assert file.setup == setup
    commit = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    assert file.source == f".claude-code-headless.yaml on main at {commit}"


def test_the_services_are_read_in_their_order(tmp_path: Path) -> None:
    text = "services:\n  redis: {command: redis-server, health: redis-cli ping, health_timeout_seconds: 5}\n"
    text += "  db:\n    command: |\n      initdb\n      exec postgres\n    health: pg_isready\nsetup: x\n"
    file = read(tmp_path, {NAME: text})
    redis, database = (
        Service("redis", "redis-server", "redis-cli ping", 5),
        Service("db", "initdb\nexec postgres", "pg_isready"),
    )
    assert file.services == (redis, database)
    assert database.health_timeout_seconds == 60
    assert read(tmp_path / "empty", {NAME: "services:\n"}).services == ()


def test_a_repository_without_the_file_has_no_settings(tmp_path: Path) -> None:
    assert read(tmp_path, {f"folder/{NAME}": "setup: exit 1\n"}) == RepositoryFile()
    assert read_repository_file(tmp_path / "nowhere", "") == RepositoryFile()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("setup: x\ncache: a\n", "is not a list of paths: write for example"),
        ("cache: {a: b}\n", "is not a list of paths"),
        ("cache: [[a]]\n", "is not a list of paths"),
        ("cache: [" + "a, " * 51 + "]\n", "more than 50 paths"),
        ("services: [redis]\n", "services in .* is not a mapping: write for example services: {redis: "),
        ("services: {redis: redis-server}\n", "the service redis in .* is not a mapping"),
        ("services: {r: {command: x}}\n", "the service r in .* has no health: give it a shell command"),
        ("services: {r: {command: '', health: x}}\n", "has no command"),
        ("services: {r: {command: [x], health: x}}\n", "has no command"),
        ("services: {r: {command: x, health: x, port: 1}}\n", "unknown key 'port': correct or remove it; the keys are"),
        ("services: {R_1: {command: x, health: x}}\n", "the name 'R_1': use at most 30 small letters"),
        ("services: {../x: {command: x, health: x}}\n", "the name '../x'"),
        ("services: {r: {command: x, health: x, health_timeout_seconds: 0}}\n", "number of seconds from 1 to 3600"),
        ("services: {r: {command: x, health: x, health_timeout_seconds: 1m}}\n", "number of seconds"),
        ("services: {r: {command: x, health: x}, r: {command: y, health: y}}\n", "the key 'r' twice"),
        ("services:\n" + "".join(f"  s{n}: {{command: x, health: x}}\n" for n in range(11)), "has 11 services"),
        ("Setup: x\n", "unknown key 'Setup': correct or remove it; the keys are setup, "),
        ("setup: echo a: b\n", r"headless.yaml\", line 1.*\n.*\n.*\. A command that contains a colon"),
        ("setup: [a, b]\n", "setup in .* is not a text: for several lines, begin with setup: |"),
        (r'setup: "x\uD800"', "an escape sequence for half of a character"),
        (r'services: {r: {command: "x\uD800", health: x}}', "an escape sequence for half of a character"),
        (r'cache: ["x\uD800"]', "an escape sequence for half of a character"),
        ("setup: {run: x}\n", "is not a text"),
        ("- setup\n", "is not a mapping"),
        ("npm ci\n", "is not a mapping"),
        ("setup: 'x\n", "not valid YAML"),
        ("setup: &a x\nother: *a\n", "aliases are not allowed"),
        ("setup: a\nsetup: b\n", "the key 'setup' twice"),
        ("setup: !!python/object/apply:os.system [x]\n", "is not a text"),
        ("setup: a\n---\nsetup: b\n", "not valid YAML"),
        (b"setup: \xff\n", "is not UTF-8"),
        (b"setup: a\x00b\n", "not valid YAML"),
        ("setup: " + "x" * 70_000, "more than 65,536 bytes"),
        ("[" * 50_000, "not valid YAML"),
        (Path("README.md"), "not a regular file"),
    ],
    ids=[
        "cache-text", "cache-mapping", "cache-lists", "cache-many", "services-list", "service-text", "no-health",
        "no-command", "command-list", "service-key", "service-name", "service-path", "seconds-zero", "seconds-text",
        "service-twice", "many-services", "capital", "colon", "list", "half", "service-half", "cache-half", "mapping",
        "list-file", "text-file", "quote", "alias", "twice", "tag", "documents", "encoding", "nul", "long", "deep",
        "link",
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path, content: str | bytes | Path, message: str) -> None:
    with pytest.raises(InvalidRepositoryFile, match=message.replace("|", r"\|")):
        read(tmp_path, {NAME: content})


def test_the_verify_commands_and_their_junit_files_are_read(tmp_path: Path) -> None:
    text = (
        "verify: |\n  # the tests\n  pytest --junitxml=r/a.xml\n\n  ruff check\n"
        "junit: [./r/*.xml, '**/TEST-*.xml', r/*.xml]\n"
    )
    file = read(tmp_path, {NAME: text})
    assert file.verify == "# the tests\npytest --junitxml=r/a.xml\n\nruff check"
    assert file.junit == ("r/*.xml", "**/TEST-*.xml")
    nothing = read(tmp_path / "empty", {NAME: "verify:\njunit:\n"})
    assert (nothing.verify, nothing.junit) == ("", ())
    assert read(tmp_path / "word", {NAME: "verify: true\n"}).verify == "true"


@pytest.mark.parametrize(
    ("content", "commands"),
    [
        ("verify: [npm run lint, npm test]\n", "npm run lint\nnpm test"),
        ("verify:\n  - npm run lint\n  - 'npm test'  # all\n", "npm run lint\nnpm test"),
        ("verify: []\n", ""),
        ("verify: >\n  npm test\n", "npm test"),
        ("verify: >\n  npm run lint\n\n  npm test\nsetup: >\n  npm\n  ci\n", "npm run lint\nnpm test"),
        ("verify: |\n  npm run lint\n  npm \\\n    test\n", "npm run lint\nnpm \\\n  test"),
        ('verify: "npm run lint\\nnpm test"\n', "npm run lint\nnpm test"),
    ],
    ids=["list", "block-list", "empty-list", "one-folded", "paragraphs", "backslash", "escape"],
)
def test_the_verify_commands_may_be_a_list(tmp_path: Path, content: str, commands: str) -> None:
    assert read(tmp_path, {NAME: content}).verify == commands


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("verify: [[a]]\n", "verify in .* is neither a text nor a list of texts: for several commands, begin with"),
        ("verify: {a: b}\n", "verify in .* is neither a text nor a list of texts"),
        ("verify: [{a: b}]\n", "verify in .* is neither a text nor a list of texts"),
        ("verify:\n  - |\n    a\n    b\n", "a list whose items have several lines"),
        ("verify: >\n  npm run lint\n  npm test\n", "YAML joins to one command: .* begin with verify: |"),
        ("verify: >-\n  a\n  b\n\n  c\n", "YAML joins to one command"),
        ("verify:\n  npm run lint\n  npm test\n", "YAML joins to one command"),
        ('verify: "a\n  b"\n', "YAML joins to one command"),
        ("verify:\n  - a\n    b\n", "YAML joins to one command"),
        ("junit: a.xml\n", "junit in .* is not a list of paths: write for example"),
        ("junit: [[a]]\n", "junit in .* is not a list"),
        ("junit: [/tmp/a.xml]\n", "the path '/tmp/a.xml': name files below the work tree"),
        ("junit: [a/../../b.xml]\n", "name files below the work tree"),
        ("junit: [~/a.xml]\n", "name files below the work tree"),
        ("junit: [.git/a.xml]\n", "name files below the work tree"),
        ("junit: [" + "a, " * 51 + "]\n", "more than 50 paths"),
    ],
    ids=[
        "nested", "mapping", "mappings", "list-lines", "folded", "paragraphs", "plain", "quoted", "item", "text",
        "lists", "absolute", "up", "home", "git", "many",
    ],
)  # fmt: skip
def test_verify_commands_that_cannot_be_used_are_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(InvalidRepositoryFile, match=message.replace("|", r"\|")):
        read(tmp_path, {NAME: content})


def test_a_folder_and_a_misspelt_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRepositoryFile, match="not a regular file"):
        read(tmp_path / "a", {f"{NAME}/x": "x"})
    with pytest.raises(InvalidRepositoryFile, match=r"name it \.claude-code-headless\.yaml"):
        read(tmp_path / "b", {".claude-code-headless.yml": "setup: x"})


def test_the_cached_paths_are_read(tmp_path: Path) -> None:
    paths = "[.venv, ./packages/a/node_modules/, ~/.cache/pip, ~/go/pkg/mod, ~/.m2, .venv]"
    file = read(tmp_path, {NAME: f"setup: x\ncache: {paths}\n"})
    assert file.cache == (".venv", "packages/a/node_modules", "~/.cache/pip", "~/go/pkg/mod", "~/.m2")
    assert read(tmp_path, {NAME: "setup: x\ncache:\n"}).cache == ()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/etc", "below the work tree"),
        ("../x", "below the work tree"),
        ("a/../../x", "below the work tree"),
        (".", "below the work tree"),
        ("~", "below the work tree"),
        ("~root/x", "begin with ~/"),
        (".git/hooks", ".git cannot be cached"),
        ("packages/.GIT", ".git cannot be cached"),
        (".claude", ".claude cannot be cached"),
        ("~/.claude/settings.json", ".claude cannot be cached"),
        ("~/.ssh", "only these folders can be cached: ~/.bun"),
        ("~/.bashrc", "only these folders"),
        ("~/.local/share", "only these folders"),
        ("~/gopher", "only these folders"),
        ("src/*", "without wildcards"),
        ("a\\tb", "without wildcards"),
        ("x" * 201, "without wildcards"),
        ("README.md", "'README.md', which is in the repository"),
        ("src", "'src', which is in the repository"),
        ("src/main.py/x", "which is in the repository"),
        ("link/x", "which is in the repository"),
    ],
)
def test_a_path_that_cannot_be_cached_is_refused_by_name(tmp_path: Path, path: str, message: str) -> None:
    content = f'setup: x\ncache: [deps, "{path}"]\n'
    files: dict[str, str | bytes | Path] = {"src/main.py": "x", "link": Path("src"), NAME: content}
    with pytest.raises(InvalidRepositoryFile, match=message):
        read(tmp_path, files)
