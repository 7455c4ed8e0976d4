"""The setup's cache: real git, tar and agent's user, and a run store on the local disk."""

import hashlib
import io
import json
import os
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.filesystems import LocalFileSystem

from deployments.local.git_remote import GitRemote
from flows.errors import SetupFailed
from flows.redaction import SECRETS
from flows.sandbox import archive
from flows.sandbox.run_folder import run_folder
from flows.state.store import RunStore
from tests.support.own_disk import own_disk
from tests.support.setup_runs import CACHE, FILE, SCRIPT, SetupRuns


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[SetupRuns]:
    seed = tmp_path / "seed"
    seed.mkdir()
    (tmp_path / "served").mkdir()
    (seed / "package-lock.json").write_text("{}\n")
    (seed / "main.py").write_text("print()\n")
    (seed / FILE).write_text(CACHE)
    with own_disk(), GitRemote(tmp_path / "served", "token") as server:
        server.create("r", seed)
        yield SetupRuns(server, tmp_path / "store")


def test_the_next_setup_finds_the_files_and_the_change_does_not_have_them(repository: SetupRuns) -> None:
    assert repository.run() == ["cold"]
    assert repository.cache.startswith("not used: none is saved yet; saved (")
    before = {name: path.read_bytes() for name, path in repository.saved().items()}
    assert set(before) == {"archive-0", "description.json"}
    assert repository.run(branch="other") == ["warm"]
    assert repository.cache.startswith("restored (")
    assert repository.lines == [f"cache: {repository.cache}"]
    assert repository.change == ()
    assert {name: path.read_bytes() for name, path in repository.saved().items()} == before


def test_another_key_is_another_cache_in_the_same_place(repository: SetupRuns) -> None:
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


def test_a_change_of_other_files_keeps_the_cache(repository: SetupRuns) -> None:
    repository.run()
    repository.commit("main", {"main.py": "print(2)\n", "my-package-lock.json": "x"})
    assert repository.run() == ["warm"]


def test_another_program_on_the_machine_is_another_cache(
    repository: SetupRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.run()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "node").write_text("")
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{tmp_path / 'bin'}")
    assert repository.run() == ["cold"]
    assert "made with another value of: image" in repository.cache


def test_a_run_that_continues_a_branch_reads_the_cache_and_never_writes_it(repository: SetupRuns) -> None:
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


def test_each_base_branch_has_its_own_cache(repository: SetupRuns) -> None:
    repository.commit("stable", {"main.py": "print(3)\n"})
    repository.run()
    assert repository.run(base_branch="stable") == ["cold"]
    assert repository.run(base_branch="stable") == ["warm"]
    assert repository.run() == ["warm"]


def test_a_run_beside_another_has_another_path_and_another_cache(repository: SetupRuns) -> None:
    repository.run()
    with run_folder():
        assert repository.run() == ["cold"]
        assert repository.cache.startswith("not used: none is saved yet; saved (")
        assert repository.run() == ["warm"]
    assert repository.run() == ["warm"]


def test_a_run_that_starts_from_a_tag_uses_no_cache(repository: SetupRuns) -> None:
    repository.git("tag", "v1", "main")
    assert repository.run(base_branch="v1") == ["cold"]
    assert repository.cache == "not used: the work does not start from a branch"
    assert repository.saved() == {}


def test_a_path_that_the_base_commit_tracks_is_not_cached(repository: SetupRuns) -> None:
    repository.commit("stable", {"deps/tracked": "x"})
    assert repository.run(base_branch="stable") == ["cold"]
    assert "'deps' is in the commit that the work starts from" in repository.cache


def _flip(repository: SetupRuns) -> None:
    path = repository.saved()["archive-0"]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _remove_chunk(repository: SetupRuns) -> None:
    repository.saved()["archive-0"].unlink()


def _change_description(repository: SetupRuns) -> None:
    path = repository.saved()["description.json"]
    path.write_bytes(path.read_bytes().replace(b'"bytes": ', b'"bytes": 1'))


def _plant(repository: SetupRuns, name: str) -> None:
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


def _plant_hook(repository: SetupRuns) -> None:
    _plant(repository, "work-tree/.git/hooks/pre-commit")


def _plant_settings(repository: SetupRuns) -> None:
    _plant(repository, "home/.claude/settings.json")


def test_a_damaged_or_planted_cache_is_not_used_and_replaced(repository: SetupRuns) -> None:
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


def test_a_run_that_is_killed_while_it_saves(repository: SetupRuns) -> None:
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


def test_a_cache_that_is_too_large(repository: SetupRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.run()
    with monkeypatch.context() as patch:
        patch.setattr(archive, "MAX_BYTES", 1000)
        assert repository.run() == ["cold"]
        assert "it cannot be restored: the archive has more than 1,000 bytes" in repository.cache
        assert "not saved: the files take more than" in repository.cache
    assert repository.run() == ["warm"]


def test_a_setup_that_fails_with_the_cache_runs_once_more_without_it(repository: SetupRuns) -> None:
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
    assert repository.restarts == 1
    assert "the setup failed with the restored cache" in "\n".join(repository.lines)
    assert "; saved (" in repository.cache
    assert repository.change == ()


def test_a_setup_that_fails_without_the_cache_is_not_run_again(repository: SetupRuns) -> None:
    with pytest.raises(SetupFailed):
        repository.run("mkdir deps; exit 7")
    assert repository.saved() == {}
    repository.run("[ -e deps ] || mkdir deps; [ ! -e fail ]; echo x > deps/built")
    with pytest.raises(SetupFailed, match="status 7"):
        repository.run("echo x; exit 7")


def test_files_that_hold_a_secret_of_the_agent_are_not_saved(repository: SetupRuns) -> None:
    with SECRETS.run_scope():
        SECRETS.learn("NPM_TOKEN of agent_environment", "npm-token-0123456789", is_for_agent=True)
        assert repository.run(f"{SCRIPT}echo npm-token-0123456789 > deps/npmrc") == ["cold"]
    assert "the files hold NPM_TOKEN of agent_environment" in repository.cache
    assert repository.saved() == {}


def test_a_setup_that_makes_none_of_the_files(repository: SetupRuns) -> None:
    repository.run("echo nothing")
    assert "the setup made none of its paths" in repository.cache
    assert repository.saved() == {}


def test_a_path_that_the_setup_did_not_make_is_named(repository: SetupRuns) -> None:
    repository.run("mkdir deps; echo built > deps/built")
    assert repository.cache.endswith(" without ~/.cache/tool, which the setup did not make")
    assert "saved (" in repository.cache


def test_a_run_store_that_does_not_answer(repository: SetupRuns) -> None:
    repository.store.write_text("a file in the place of the folder")
    assert repository.run() == ["cold"]
    assert "not saved: the run store could not" in repository.cache
