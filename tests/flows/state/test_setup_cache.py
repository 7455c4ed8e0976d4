"""The setup's cache: real git, tar and agent's user, and a run store on the local disk."""

import hashlib
import io
import json
import os
import subprocess
import tarfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from git import RemoteProgress
from prefect.filesystems import LocalFileSystem
from pydantic import SecretStr

from deployments.local.git_remote import GitRemote
from flows.errors import SetupFailed
from flows.parameters.addresses import RepoUrl
from flows.redaction import SECRETS
from flows.repository.clone import clone
from flows.repository.collect import CommitIdentity, collect
from flows.repository.credentials import GitCredentials
from flows.repository.remote import Remote
from flows.repository.setup import SetupCommand, run_setup
from flows.sandbox import archive
from flows.sandbox.run_folder import run_folder
from flows.sandbox.shell import shell_environment
from flows.sandbox.workspace import workspace
from flows.state.setup_cache import run_with_cache
from flows.state.store import FileSystem, RunStore
from tests.support.own_disk import own_disk

IDENTITY = CommitIdentity("bot@example.com", datetime(2026, 11, 27, 12, tzinfo=UTC), "Implement\n")
FILE = ".claude-code-headless.yaml"
CACHE = "cache: [deps, '~/.cache/tool']\nsetup: x\n"
SCRIPT = """
if [ -e deps/built ] && [ -e ~/.cache/tool/x ]; then echo warm; else echo cold; fi
mkdir -p deps ~/.cache/tool; echo built > deps/built; echo x > ~/.cache/tool/x; pwd > deps/path
"""


def _execute(line: list[str]) -> None:
    subprocess.run(line, check=True, capture_output=True)


class Repository:
    """A repository on a git server, and runs of its setup that share a run store."""

    def __init__(self, server: GitRemote, store: Path) -> None:
        self.server = server
        self.store = store
        self.lines: list[str] = []
        self.cache = ""
        self.change: tuple[str, ...] = ()

    def git(self, *arguments: str) -> str:
        return self.server.git("r", *arguments)

    def commit(self, branch: str, files: dict[str, str]) -> None:
        """Commit files to a branch; a new branch starts from main."""
        folder = self.store.parent / "clone"
        if not folder.exists():
            _execute(["git", "clone", "-q", str(self.server.root / "r.git"), str(folder)])
        git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@x"]
        start = branch if branch in self.git("branch", "--format=%(refname:short)").split() else "main"
        _execute([*git, "fetch", "-q", "origin"])
        _execute([*git, "checkout", "-q", "-B", branch, f"origin/{start}"])
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content)
        _execute([*git, "add", "--all"])
        _execute([*git, "commit", "-qm", "x"])
        _execute([*git, "push", "-q", "origin", branch])

    def run(
        self,
        script: str = SCRIPT,
        branch: str = "new",
        base_branch: str = "",
        files: FileSystem | None = None,
    ) -> list[str]:
        """Run the setup in a new workspace; return the lines that the setup printed."""
        printed: list[str] = []
        self.lines.clear()
        with SECRETS.run_scope(), workspace() as directories:
            url = RepoUrl.parse(f"{self.server.url}/r.git")
            remote = Remote(url, GitCredentials(SecretStr("token"), "bot@example.com", "u"), directories.trusted)
            checkout = clone(
                directories,
                remote,
                branch=branch,
                base_branch=base_branch,
                depth=50,
                allow_default_branch=True,
                progress=RemoteProgress(),
            )
            environment = shell_environment(directories.agent_variables, os.environ)

            def setup() -> tuple[str, ...]:
                command = SetupCommand(script, "a test")
                return run_setup(directories, checkout, command, environment, 60, printed.append)

            files = files or LocalFileSystem(basepath=str(self.store))
            _, self.cache = run_with_cache(files, directories, checkout, url.url, script, setup, self.lines.append)
            self.change = tuple(file.path for file in collect(directories, checkout, IDENTITY).files)
        return printed

    def saved(self) -> dict[str, Path]:
        """Return the files of the cache in the run store, by name."""
        return {path.name: path for path in self.store.glob("claude-code-headless/caches/*/*")}


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    seed = tmp_path / "seed"
    seed.mkdir()
    (tmp_path / "served").mkdir()
    (seed / "package-lock.json").write_text("{}\n")
    (seed / "main.py").write_text("print()\n")
    (seed / FILE).write_text(CACHE)
    with own_disk(), GitRemote(tmp_path / "served", "token") as server:
        server.create("r", seed)
        yield Repository(server, tmp_path / "store")


def test_the_next_setup_finds_the_files_and_the_change_does_not_have_them(repository: Repository) -> None:
    assert repository.run() == ["cold"]
    assert repository.cache.startswith("not used: none is saved yet; saved (")
    before = {name: path.read_bytes() for name, path in repository.saved().items()}
    assert set(before) == {"archive-0", "description.json"}
    assert repository.run(branch="other") == ["warm"]
    assert repository.cache.startswith("restored (")
    assert repository.lines == [f"cache: {repository.cache}"]
    assert repository.change == ()
    assert {name: path.read_bytes() for name, path in repository.saved().items()} == before


def test_another_key_is_another_cache_in_the_same_place(repository: Repository) -> None:
    repository.run()
    cases = [
        ({"package-lock.json": '{"a": 1}'}, SCRIPT, "lock files"),
        ({"sub/requirements-dev.txt": "a==1"}, SCRIPT, "lock files"),
        ({}, f"{SCRIPT}true", "setup command"),
        ({FILE: "cache: [deps, '~/.cache/tool', more]\nsetup: x\n"}, f"{SCRIPT}true", "cached paths"),
    ]
    for files, script, reason in cases:
        if files:
            repository.commit("main", files)
        assert repository.run(script) == ["cold"], reason
        assert f"made with another value of: {reason}; saved" in repository.cache
    assert repository.run(script) == ["warm"]
    assert len(repository.saved()) == 2, "the newer cache is not in the place of the older one"


def test_a_change_of_other_files_keeps_the_cache(repository: Repository) -> None:
    repository.run()
    repository.commit("main", {"main.py": "print(2)\n", "my-package-lock.json": "x"})
    assert repository.run() == ["warm"]


def test_another_program_on_the_machine_is_another_cache(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.run()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "node").write_text("")
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{tmp_path / 'bin'}")
    assert repository.run() == ["cold"]
    assert "made with another value of: image" in repository.cache


def test_a_run_that_continues_a_branch_reads_the_cache_and_never_writes_it(repository: Repository) -> None:
    repository.commit("work", {"main.py": "print(3)\n"})
    assert repository.run(branch="work") == ["cold"]
    assert "not saved, because the work continues the branch work" in repository.cache
    assert repository.saved() == {}
    repository.run()
    assert repository.run(branch="work") == ["warm"]
    before = {name: path.read_bytes() for name, path in repository.saved().items()}
    repository.commit("work", {"package-lock.json": "hostile"})
    assert repository.run(branch="work") == ["cold"]
    assert {name: path.read_bytes() for name, path in repository.saved().items()} == before


def test_each_base_branch_has_its_own_cache(repository: Repository) -> None:
    repository.commit("stable", {"main.py": "print(3)\n"})
    repository.run()
    assert repository.run(base_branch="stable") == ["cold"]
    assert repository.run(base_branch="stable") == ["warm"]
    assert repository.run() == ["warm"]


def test_a_run_beside_another_has_another_path_and_another_cache(repository: Repository) -> None:
    repository.run()
    with run_folder():
        assert repository.run() == ["cold"]
        assert repository.cache.startswith("not used: none is saved yet; saved (")
        assert repository.run() == ["warm"]
    assert repository.run() == ["warm"]


def test_a_run_that_starts_from_a_tag_uses_no_cache(repository: Repository) -> None:
    repository.git("tag", "v1", "main")
    assert repository.run(base_branch="v1") == ["cold"]
    assert repository.cache == "not used: the work does not start from a branch"
    assert repository.saved() == {}


def test_a_path_that_the_base_commit_tracks_is_not_cached(repository: Repository) -> None:
    repository.commit("stable", {"deps/tracked": "x"})
    assert repository.run(base_branch="stable") == ["cold"]
    assert "'deps' is in the commit that the work starts from" in repository.cache


def _flip(repository: Repository) -> None:
    path = repository.saved()["archive-0"]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _remove_chunk(repository: Repository) -> None:
    repository.saved()["archive-0"].unlink()


def _change_description(repository: Repository) -> None:
    path = repository.saved()["description.json"]
    path.write_bytes(path.read_bytes().replace(b'"bytes": ', b'"bytes": 1'))


def _plant(repository: Repository, name: str) -> None:
    """Replace the archive by one with a planted file, as somebody could who may write to the run store."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for path in ("work-tree/deps/built", "home/.cache/tool/x", name):
            info = tarfile.TarInfo(path)
            info.size = 4
            tar.addfile(info, io.BytesIO(b"evil"))
    chunk = zlib.compress(content.getvalue())
    saved = repository.saved()
    saved["archive-0"].write_bytes(chunk)
    store = RunStore(LocalFileSystem(basepath=str(repository.store)), f"caches/{saved['archive-0'].parent.name}")
    description = json.loads(store.read_sealed("description.json") or b"")
    description.update(bytes=len(content.getvalue()), chunks=[hashlib.sha256(chunk).hexdigest()])
    store.save_sealed("description.json", json.dumps(description).encode())


def _plant_hook(repository: Repository) -> None:
    _plant(repository, "work-tree/.git/hooks/pre-commit")


def _plant_settings(repository: Repository) -> None:
    _plant(repository, "home/.claude/settings.json")


def test_a_damaged_or_planted_cache_is_not_used_and_replaced(repository: Repository) -> None:
    damages = (_flip, _remove_chunk, _change_description, _plant_hook, _plant_settings)
    repository.run()
    for damage in damages:
        damage(repository)
        assert repository.run() == ["cold"], damage.__name__
        assert "; saved (" in repository.cache, damage.__name__
    assert repository.run() == ["warm"]


class InterruptedStore:
    """A run store at which the process ends when it writes the description."""

    def __init__(self, files: LocalFileSystem) -> None:
        self.files = files

    def read_path(self, path: str) -> Any:  # noqa: ANN401 (Prefect's methods return bytes or a coroutine)
        return self.files.read_path(path)

    def write_path(self, path: str, content: bytes) -> object:
        if path.endswith("description.json"):
            raise KeyboardInterrupt
        return self.files.write_path(path, content)


def test_a_run_that_is_killed_while_it_saves(repository: Repository) -> None:
    files = InterruptedStore(LocalFileSystem(basepath=str(repository.store)))
    with pytest.raises(KeyboardInterrupt):
        repository.run(files=files)
    assert set(repository.saved()) == {"archive-0"}
    assert repository.run() == ["cold"]
    script = f"{SCRIPT}echo other > deps/other\n"
    with pytest.raises(KeyboardInterrupt):
        repository.run(script, files=files)
    assert repository.run() == ["cold"]
    assert "missing or differs from what was saved; saved (" in repository.cache


def test_a_cache_that_is_too_large(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.run()
    with monkeypatch.context() as patch:
        patch.setattr(archive, "MAX_BYTES", 1000)
        assert repository.run() == ["cold"]
        assert "it cannot be restored: the archive has more than 1,000 bytes" in repository.cache
        assert "not saved: the files take more than" in repository.cache
    assert repository.run() == ["warm"]


def test_a_setup_that_fails_with_the_cache_runs_once_more_without_it(repository: Repository) -> None:
    repository.commit("main", {".gitignore": "*.log\n"})
    script = (
        "ls -A . ~ > $TMPDIR/seen; [ -e deps ] && { echo broken > main.py; rm package-lock.json; echo l > x.log; "
        "echo x > ~/left; git config a.b c; git checkout -qb elsewhere; echo failed; exit 7; }; "
        "cat main.py; ls -A . ~ $TMPDIR; git branch --show-current; mkdir deps; echo 1 > deps/built"
    )
    cold = repository.run(script)
    assert "print()" in cold
    warm = repository.run(script)
    assert warm == ["failed", *cold]
    assert "the setup failed with the restored cache" in "\n".join(repository.lines)
    assert "; saved (" in repository.cache
    assert repository.change == ()


def test_a_setup_that_fails_without_the_cache_is_not_run_again(repository: Repository) -> None:
    with pytest.raises(SetupFailed):
        repository.run("mkdir deps; exit 7")
    assert repository.saved() == {}
    repository.run("[ -e deps ] || mkdir deps; [ ! -e fail ]; echo x > deps/built")
    with pytest.raises(SetupFailed, match="status 7"):
        repository.run("echo x; exit 7")


def test_files_that_hold_a_secret_of_the_agent_are_not_saved(repository: Repository) -> None:
    with SECRETS.run_scope():
        SECRETS.learn("NPM_TOKEN of agent_environment", "npm-token-0123456789", is_for_agent=True)
        assert repository.run(f"{SCRIPT}echo npm-token-0123456789 > deps/npmrc") == ["cold"]
    assert "the files hold NPM_TOKEN of agent_environment" in repository.cache
    assert repository.saved() == {}


def test_a_setup_that_makes_none_of_the_files(repository: Repository) -> None:
    repository.run("echo nothing")
    assert "the setup made none of its paths" in repository.cache
    assert repository.saved() == {}


def test_a_run_store_that_does_not_answer(repository: Repository) -> None:
    repository.store.write_text("a file in the place of the folder")
    assert repository.run() == ["cold"]
    assert "not saved: the run store could not" in repository.cache
