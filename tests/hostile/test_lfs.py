"""Plants around Git LFS run nothing as the trusted user, and lead neither the token nor a request elsewhere."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployments.local.lfs_storage import LfsStorage
from deployments.local.stack import LocalStack
from tests.support.attack import Attack, SecondServer
from tests.support.lfs_repository import ATTRIBUTES, CONTENT, pointer_to

PLANTS = r"""
git config filter.lfs.process "$M lfs-process"
git config filter.lfs.clean "$M lfs-clean"
git config filter.lfs.smudge "$M lfs-smudge"
git config lfs.url "$T/evil"
git config lfs.customtransfer.evil.path "$M"
git config lfs.standalonetransferagent evil
git config credential.helper "!$M lfs-helper"
store=$(git config lfs.storage)
mkdir -p bin
for program in sh sha256sum mktemp git-lfs; do printf '#!/bin/sh\n"$M" lfs-%s\n' $program > bin/$program; done
chmod +x bin/*
cp "$M" ../../config/lfs-filter; ln -sf /etc/passwd ../../config/lfs-filter; rm -f ../../config/lfs-filter
ln -sf /etc/shadow "$store/objects/evil"; rm -rf "$store/incoming"*
printf '[lfs]\n\turl = %s/evil\n\tfetchinclude = *\n' "$T" > .lfsconfig
printf changed > a.bin
"""


@pytest.fixture
def storage(stack: LocalStack) -> Iterator[LfsStorage]:
    with LfsStorage() as storage:
        stack.git.lfs = storage
        yield storage
        stack.git.lfs = None


def test_plants_around_git_lfs_have_no_effect(
    run_attack: Callable[..., Attack], storage: LfsStorage, second_server: SecondServer
) -> None:
    def write(seed: Path) -> None:
        (seed / ".gitattributes").write_text(ATTRIBUTES)
        (seed / "a.bin").write_text(storage.add(seed.name, CONTENT))
        (seed / ".lfsconfig").write_text(f"[lfs]\n\turl = {second_server.url}/evil\n")

    attack = run_attack(PLANTS, write=write, lfs=True)
    attack.check_isolation()
    delivery = attack.run.delivered()
    assert attack.world.content(delivery.branch, "a.bin") == pointer_to(b"changed").strip()
    assert not [plant for plant in attack.executed_plants() if plant in {"lfs-process", "lfs-clean", "lfs-smudge"}]
    assert second_server.requests == []
    assert storage.received == {}
    assert b"changed" in storage.objects.values()
    assert not [request for request in storage.requests if "authorization" in request.headers]
