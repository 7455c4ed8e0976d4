"""Saves files that the setup made, and restores them for the setup of a later run of the same repository.

They are saved before the agent starts, so no agent can change them. There is one cache for each branch of a repository;
a newer one replaces it. The description is written last, and holds the digests of all chunks. So a cache that was not
written to its end, or was changed, is not used.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flows.errors import RunError, SetupFailed
from flows.redaction import SECRETS
from flows.repository.cache_key import CacheKey, NoCache, cache_key
from flows.repository.clone import Checkout
from flows.repository.work_tree import renew_work_tree
from flows.sandbox import archive
from flows.sandbox.archive_entries import InvalidArchive
from flows.sandbox.workspace import Workspace
from flows.state.chunks import DamagedChunk, read_chunks, save_chunks
from flows.state.files import CACHES
from flows.state.store import FileSystem, RunStore

DESCRIPTION: Final = "description.json"
CHUNKS: Final = "archive"

_FILE: Final = "setup-cache.tar"
_BLOCK_BYTES: Final = 2**20
_LONGEST_SECRET: Final = 2**16
_Log = Callable[[str], None]


@dataclass(frozen=True)
class SetupCache:
    """The cache of one setup: its place in the run store, and what the files depend on."""

    workspace: Workspace
    checkout: Checkout
    key: CacheKey
    store: RunStore

    @classmethod
    def of(
        cls, files: FileSystem, workspace: Workspace, checkout: Checkout, repo_url: str, script: str
    ) -> "SetupCache":
        """Return the cache for a setup; raise `NoCache` if it cannot use one."""
        key = cache_key(workspace, checkout, repo_url, script)
        return cls(workspace, checkout, key, RunStore(files, f"{CACHES}/{key.slot}").without_retries)

    def restore(self) -> str:
        """Unpack the saved files into the work tree and the home directory. Return what was restored, for people.

        Raises:
            NoCache: Nothing is saved, it belongs to another key, or it cannot be used. No file was restored.
        """
        started = time.monotonic()
        try:
            size = self._download(self._description())
            archive.unpack(self.workspace, self.checkout.cache, self._file, max_bytes=archive.MAX_BYTES)
        except (RunError, InvalidArchive, DamagedChunk, OSError, KeyError, TypeError, ValueError) as error:
            archive.remove(self.workspace, self.checkout.cache)
            raise NoCache(f"it cannot be restored: {error}") from None
        finally:
            self._file.unlink(missing_ok=True)
        return f"restored ({_amount(size, started)})"

    def save(self) -> str:
        """Save the files, and replace those that an earlier run saved. Return a text for people: how much was saved.

        Raises:
            NoCache: The files cannot be saved.
        """
        if not self.key.may_save:
            raise NoCache(f"not saved, because the work continues the branch {self.checkout.base_branch}")
        started = time.monotonic()
        try:
            size = archive.pack(self.workspace, self.checkout.cache, self._file, max_bytes=archive.MAX_BYTES)
            if not size:
                raise NoCache("not saved, because the setup made none of its paths")
            self._check_secrets()
            self._upload(size)
            missing = archive.missing(self.workspace, self.checkout.cache)
        except (RunError, InvalidArchive, OSError) as error:
            raise NoCache(f"not saved: {error}") from None
        finally:
            self._file.unlink(missing_ok=True)
        without = f" without {', '.join(missing)}, which the setup did not make" if missing else ""
        return f"saved ({_amount(size, started)}){without}"

    @property
    def _file(self) -> Path:
        return self.workspace.trusted / _FILE

    def _description(self) -> dict[str, Any]:
        if self.store.read(DESCRIPTION) is None:
            raise NoCache("none is saved yet")
        content = self.store.read_sealed(DESCRIPTION)
        if content is None:
            raise NoCache(f"{self.store.path(DESCRIPTION)} is damaged")
        description: dict[str, Any] = json.loads(content)
        different = [name for name, digest in self.key.parts.items() if description["key"].get(name) != digest]
        if different:
            raise NoCache(f"it was made with another value of: {', '.join(different)}")
        return description

    def _download(self, description: dict[str, Any]) -> int:
        size, limit = 0, min(int(description["bytes"]), archive.MAX_BYTES)
        with self._file.open("wb") as file:
            for block in read_chunks(self.store, CHUNKS, description["chunks"]):
                size += len(block)
                if size > limit:
                    raise InvalidArchive(f"the archive has more than {limit:,} bytes")
                file.write(block)
        if size != description["bytes"]:
            raise InvalidArchive(f"the archive has {size:,} bytes and not {description['bytes']:,}")
        return size

    def _upload(self, size: int) -> None:
        chunks = save_chunks(self.store, CHUNKS, self._blocks())
        description = {"key": dict(self.key.parts), "bytes": size, "chunks": chunks}
        self.store.save_sealed(DESCRIPTION, json.dumps(description).encode())

    def _check_secrets(self) -> None:
        """Raise `NoCache` if the files hold a secret that the agent has: other runs may have other secrets."""
        end = b""
        for block in self._blocks():
            names = {name for name in SECRETS.forms_in(end + block).values() if SECRETS.is_for_agent(name)}
            if names:
                raise NoCache(f"not saved, because the files hold {min(names)}: let the setup put it elsewhere")
            end = (end + block)[-_LONGEST_SECRET:]

    def _blocks(self) -> Iterator[bytes]:
        with self._file.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                yield block


def run_with_cache(
    files: FileSystem,
    workspace: Workspace,
    checkout: Checkout,
    repo_url: str,
    script: str,
    setup: Callable[[], tuple[str, ...]],
    log: _Log,
    restart_services: Callable[[], None],
) -> tuple[tuple[str, ...], str]:
    """Restore the cached files, run the setup on top of them, and save its files if none were restored.

    If the setup fails with the cached files, it runs once more in a work tree without them, and with new services: it
    may have loaded data into the old ones.

    Args:
        files: The file system of the run store.
        workspace: The run's directories.
        checkout: What is checked out in the work tree, and which files are cached.
        repo_url: The URL of the repository.
        script: The setup command.
        setup: Runs the setup command, and returns the paths that it put back.
        log: Called with each line for people.
        restart_services: Starts the services again, without what the setup put into them.

    Returns:
        What `setup` returned, and what became of the cache, for people; empty if no files are cached.
    """
    if not checkout.cache:
        return setup(), ""
    try:
        cache = SetupCache.of(files, workspace, checkout, repo_url, script)
    except NoCache as error:
        log(f"cache: not used: {error}")
        return setup(), f"not used: {error}"
    what = _attempt(cache.restore, log, "not used: ")
    is_restored = what.startswith("restored")
    try:
        changed = setup()
    except SetupFailed as error:
        if not is_restored:
            raise
        log(f"the setup failed with the restored cache, so it runs again without it: {str(error).splitlines()[0]}")
        renew_work_tree(workspace, checkout.branch, checkout.base_commit)
        restart_services()
        changed, is_restored, what = setup(), False, "not used: the setup failed with it"
    return changed, what if is_restored else f"{what}; {_attempt(cache.save, log, '')}"


def _attempt(action: Callable[[], str], log: _Log, prefix: str) -> str:
    try:
        what = action()
    except NoCache as error:
        what = f"{prefix}{error}"
    log(f"cache: {what}")
    return what


def _amount(size: int, started: float) -> str:
    return f"{size / 1e6:.1f} MB, {time.monotonic() - started:.1f} s"
