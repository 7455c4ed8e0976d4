"""A directory for temporary files that only one test uses, so that its runs have the same paths one after the other."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def own_disk() -> Iterator[Path]:
    """Let the runs of this process create their folders in a new directory, and remove it when the context ends."""
    disk = Path(tempfile.mkdtemp(prefix="disk-"))
    disk.chmod(0o711)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tempfile, "tempdir", str(disk))
            yield disk
    finally:
        shutil.rmtree(disk, ignore_errors=True)
