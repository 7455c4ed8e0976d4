"""Marks that tests of several folders share."""

import os
from typing import Final

import pytest

needs_root: Final = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can isolate the agent, mount disks and create namespaces: run as root"
)
