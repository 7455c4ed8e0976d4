"""Archives of the agent's files: real tar, as the agent's user, in two runs' directories."""

import io
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.sandbox import commands
from flows.sandbox.archive import pack, remove, unpack
from flows.sandbox.archive_entries import InvalidArchive
from flows.sandbox.workspace import Workspace, workspace

PATHS = ["deps", "packages/a/build", "~/.cache/tool"]
FILES = r"""
mkdir -p deps/bin packages/a/build ~/.cache/tool ~/.cache/other && cd deps
echo 1 > one.txt; echo x > $'odd\nname'; ln -s ../one.txt bin/one; ln one.txt hard; ln -s /usr/bin/env bin/env
ln -s ~/.cache/tool/x bin/home; ln -s ../packages/a pkg; touch -d 2001-02-03 one.txt
printf '#!/bin/sh\necho ran\n' > bin/run; chmod 755 bin/run; mkdir read-only; echo r > read-only/f; chmod 555 read-only
mkdir -p src/.git nested/.claude; echo x > src/.git/config; echo x > nested/.claude/settings.json; echo s > src/file
echo b > ../packages/a/build/b; echo x > ../packages/a/kept; echo c > ~/.cache/tool/x; echo c > ~/.cache/other/x
"""


@pytest.fixture
def source() -> Iterator[Workspace]:
    with workspace() as directories:
        yield directories


@pytest.fixture
def target() -> Iterator[Workspace]:
    with workspace() as directories:
        yield directories


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "archive.tar"


def shell(directories: Workspace, script: str) -> str:
    """Run a script in the work tree as the agent's user; return its output."""
    line = ["bash", "-ec", f"cd {directories.work_tree}\n{script}"]
    return commands.check(commands.run(directories, line), "run a test's script").text


def test_what_is_packed_is_unpacked_as_it_was(source: Workspace, target: Workspace, file: Path) -> None:
    shell(source, FILES.replace("ln -s ~/.cache/tool/x bin/home", "true"))  # its path differs between the two runs
    size = pack(source, [*PATHS, "missing"], file)
    assert size == file.stat().st_size > 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.stat().st_uid == os.geteuid()
    unpack(target, PATHS, file)
    there = shell(target, "cat deps/bin/one $'deps/odd\\nname' packages/a/build/b ~/.cache/tool/x; deps/bin/run")
    assert there.split() == ["1", "x", "b", "c", "ran"]
    listing = "find . ~ -printf '%P %m %l\\n' | sort; stat -c '%Y %h' deps/one.txt"
    absent = ("/.git", "/.claude", "a/kept", ".cache/other")
    expected = [row for row in shell(source, listing).split("\n") if not any(part in row for part in absent)]
    assert shell(target, listing).split("\n") == expected
    assert shell(target, "stat -c %u deps/one.txt") == shell(target, "id -u")
    remove(target, PATHS)
    assert shell(target, "find . ~ -type f") == ""


def test_a_link_into_the_runs_own_home_is_packed(source: Workspace, file: Path) -> None:
    shell(source, FILES)
    assert pack(source, PATHS, file) > 0
    remove(source, PATHS)
    unpack(source, PATHS, file)
    assert shell(source, "cat deps/bin/home") == "c"


def test_no_path_exists(source: Workspace, file: Path) -> None:
    assert pack(source, PATHS, file) == 0
    assert not file.exists()


def test_the_whole_work_tree_and_home_can_be_packed(source: Workspace, target: Workspace, file: Path) -> None:
    shell(source, "mkdir .git; echo x > .git/config; echo 1 > a; echo 2 > ~/b")
    pack(source, [".", "~"], file)
    unpack(target, [".", "~"], file)
    assert shell(target, "ls -A . ~; cat a ~/b").split() == [".:", "a", f"{target.home}:", "b", "1", "2"]


@pytest.mark.parametrize(
    "script",
    [
        "ln -s /etc/passwd deps/l",
        "ln -s ../../../trusted deps/l",
        "ln -s ../.git/hooks deps/l",
        "ln -s /usr/../etc deps/l",
        "ln -s one/../../.. deps/l",
        "mkfifo deps/pipe",
        "rmdir deps; ln -s /etc deps",
        "rmdir deps; mkdir elsewhere; ln -s elsewhere packages",
    ],
)
def test_files_that_must_not_be_packed(source: Workspace, file: Path, script: str) -> None:
    shell(source, f"mkdir -p deps; {script}; mkdir -p packages/a/build")
    with pytest.raises(InvalidArchive):
        pack(source, PATHS, file)
    assert not file.exists()


def test_too_many_bytes(source: Workspace, target: Workspace, file: Path) -> None:
    shell(source, "mkdir deps; head -c 3000000 /dev/zero > deps/large")
    with pytest.raises(InvalidArchive, match="more than 2 MiB"):
        pack(source, PATHS, file, max_bytes=2 * 2**20)
    assert not file.exists()
    pack(source, PATHS, file)
    with pytest.raises(InvalidArchive, match="more than 1,000 bytes"):
        unpack(target, PATHS, file, max_bytes=1000)
    assert shell(target, "ls") == ""


@pytest.mark.parametrize("path", ["/etc", "../x", "a/../../b", ".git/hooks", "a/.claude", "~/.claude", "~/../x"])
def test_paths_that_are_not_allowed(source: Workspace, file: Path, path: str) -> None:
    with pytest.raises(InvalidArchive):
        pack(source, [path], file)


@pytest.mark.skipif(os.geteuid() != 0, reason="without root the agent's files are this user's own: run as root")
def test_tar_has_only_the_rights_of_the_agents_user(source: Workspace, file: Path) -> None:
    shell(source, "mkdir deps")
    (source.work_tree / "deps" / "secret").write_text("root's")
    (source.work_tree / "deps" / "secret").chmod(0o600)
    with pytest.raises(InvalidArchive, match="Permission denied"):
        pack(source, PATHS, file)


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


ATTACKS: dict[str, list[tarfile.TarInfo]] = {
    "git": [entry("work-tree/.git/hooks/x")],
    "nested-git": [entry("work-tree/deps/.git/hooks/x")],
    "git-case": [entry("work-tree/deps/.GIT")],
    "claude": [entry("work-tree/deps/.claude/settings.json")],
    "home-claude": [entry("home/.claude/settings.json")],
    "other-path": [entry("work-tree/src/main.py")],
    "parent": [entry("work-tree/deps/../src/main.py")],
    "last-parent": [entry("work-tree/deps/..", tarfile.DIRTYPE)],
    "absolute": [entry("/etc/passwd")],
    "trusted": [entry("../trusted/x")],
    "link-outside": [entry("work-tree/deps/l", tarfile.SYMTYPE, "../../../trusted")],
    "behind-a-link": [entry("work-tree/deps/l", tarfile.SYMTYPE, "../src"), entry("work-tree/deps/l/x")],
    "link-after-folder": [entry("work-tree/deps/l/x"), entry("work-tree/deps/l", tarfile.SYMTYPE, "../src")],
    "over-a-link": [entry("work-tree/deps/l", tarfile.SYMTYPE, "../src/a"), entry("work-tree/deps/l")],
    "hard-link": [entry("work-tree/deps/l", tarfile.LNKTYPE, "work-tree/src/main.py")],
    "hard-link-to-a-link": [
        entry("work-tree/deps/a"),
        entry("work-tree/deps/a", tarfile.SYMTYPE, "../src"),
        entry("work-tree/deps/b", tarfile.LNKTYPE, "work-tree/deps/a"),
        entry("work-tree/deps/b/x"),
    ],
    "sparse": [entry("work-tree/deps/s", tarfile.GNUTYPE_SPARSE)],
    "device": [entry("work-tree/deps/d", tarfile.CHRTYPE)],
    "fifo": [entry("work-tree/deps/f", tarfile.FIFOTYPE)],
}


@pytest.mark.parametrize("name", ATTACKS)
def test_archives_that_are_not_unpacked(target: Workspace, file: Path, name: str) -> None:
    with tarfile.open(file, "w") as archive:
        for info in (entry("work-tree/deps/first"), *ATTACKS[name]):
            archive.addfile(info)
    with pytest.raises(InvalidArchive):
        unpack(target, PATHS, file)
    assert shell(target, "ls -A . ~").split() == [".:", f"{target.home}:"]


def _with_prefix(info: tarfile.TarInfo) -> bytes:
    """Return an entry with a prefix that Python's tarfile puts before its name, and GNU tar does not."""
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[345:359] = b"work-tree/deps"
    header[148:156] = b"%06o\0 " % (sum(header) - sum(header[148:156]) + 8 * 32)
    return bytes(header)


def _with_global_size(info: tarfile.TarInfo) -> bytes:
    """Return an entry that GNU tar finds, and Python's tarfile takes for the content of another one, or in reverse."""
    outer = entry("work-tree/deps/outer")
    outer.size = 512
    size = tarfile.TarInfo.create_pax_global_header({"size": "0"})
    return size + outer.tobuf(tarfile.USTAR_FORMAT) + info.tobuf(tarfile.USTAR_FORMAT)


@pytest.mark.parametrize("hide", [_with_prefix, _with_global_size])
def test_entries_that_gnu_tar_reads_in_another_way_are_not_unpacked(
    target: Workspace, file: Path, hide: Callable[[tarfile.TarInfo], bytes]
) -> None:
    hidden = hide(entry("home/.npmrc"))
    file.write_bytes(hidden + bytes(-len(hidden) % 10240))
    assert "home/.npmrc" in subprocess.run(["tar", "-tf", file], capture_output=True, text=True, check=True).stdout
    with pytest.raises(InvalidArchive):
        unpack(target, PATHS, file)
    assert shell(target, "ls -A ~") == ""


def _with_hidden_entry(content: bytes) -> bytes:
    hidden = io.BytesIO()
    with tarfile.open(fileobj=hidden, mode="w") as archive:
        archive.addfile(entry("work-tree/src/main.py"))
    end = content.rstrip(b"\0")
    return end + b"\0" * (-len(end) % 512) + b"x" * 512 + hidden.getvalue()


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:1300], _with_hidden_entry, lambda content: b"x" * len(content)],
    ids=["cut", "hidden", "no-tar"],
)
def test_damaged_archives(source: Workspace, target: Workspace, file: Path, damage: Callable[[bytes], bytes]) -> None:
    shell(source, "mkdir deps; head -c 1000 /dev/urandom > deps/a; head -c 1000 /dev/urandom > deps/b")
    pack(source, PATHS, file)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(InvalidArchive, match="damaged"):
        unpack(target, PATHS, file)
    assert shell(target, "ls") == ""


def test_a_link_in_the_way(source: Workspace, target: Workspace, file: Path) -> None:
    shell(source, "mkdir -p packages/a/build; echo 1 > packages/a/build/f")
    pack(source, PATHS, file)
    shell(target, "mkdir elsewhere; ln -s elsewhere packages")
    with pytest.raises(InvalidArchive, match="is a symbolic link"):
        unpack(target, PATHS, file)
    assert subprocess.run(["find", target.work_tree, "-type", "f"], capture_output=True, check=True).stdout == b""
