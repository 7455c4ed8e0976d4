"""The environment of the tests: their own home directory and Prefect profile, and no credentials.

Prefect reads its settings when it is imported, so call `isolate` before anything imports Prefect.
"""

import os
import tempfile
from pathlib import Path
from typing import Final

from deployments.local.prefect_server import free_port

REAL_HOME: Final = Path.home()
PREFECT_PORT: Final = free_port()
_HOME: Final = tempfile.TemporaryDirectory(prefix="claude-code-headless-tests-")
_TMP: Final = tempfile.TemporaryDirectory(prefix="tests-")
"""The temporary directory of this worker, whose runs have folders with other paths than those of other workers."""
_REMOVED: Final = ("PREFECT_", "AWS_", "ANTHROPIC_", "CLAUDE_")


def isolate() -> None:
    """Remove the variables that name this machine's accounts, and set a new home and temporary directory."""
    for name in [name for name in os.environ if name.startswith(_REMOVED) and name != "AWS_CA_BUNDLE"]:
        del os.environ[name]
    Path(_TMP.name).chmod(0o711)
    tempfile.tempdir = _TMP.name
    os.environ.update(
        {
            "TMPDIR": _TMP.name,
            "HOME": _HOME.name,
            "PREFECT_HOME": f"{_HOME.name}/.prefect",
            "PREFECT_API_URL": f"http://127.0.0.1:{PREFECT_PORT}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    )


def remove_home() -> None:
    """Remove the tests' home directory and temporary directory."""
    _HOME.cleanup()
    _TMP.cleanup()
