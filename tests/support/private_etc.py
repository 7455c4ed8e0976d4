"""A copy of /etc that only one process and its children see, so that a test may change this machine's accounts."""

import subprocess
import sys
from pathlib import Path
from typing import Final

_PROJECT: Final = Path(__file__).parents[2]
_MOUNT: Final = """
# Without the accounts of runs that are running now.
# A run may replace a file while the copy is made.
cp -a /etc "$1/etc" || [ -s "$1/etc/passwd" ]
sed -i /:claude-code-headless:/d "$1/etc/passwd"
sed -i -E '/^(agent|service)[-:]/d' "$1/etc/group"
mount --bind "$1/etc" /etc
{after}
shift
exec "$@"
"""


def run_with_private_etc(folder: Path, code: str, *arguments: str, after: str = ":") -> str:
    """Run Python code in a process that sees a copy of /etc, and return its output.

    Args:
        folder: Where the copy is made.
        code: The code.
        arguments: The code's arguments, in `sys.argv[1:]`.
        after: A shell command that changes the copy before the code runs.
    """
    script = _MOUNT.format(after=after)
    command = ["unshare", "--mount", "sh", "-ec", script, "sh", str(folder), sys.executable, "-c", code, *arguments]
    completed = subprocess.run(command, cwd=_PROJECT, check=False, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout
