"""Removes folders that the agent or a command of the repository filled."""

import subprocess
from pathlib import Path


def remove_tree(folder: Path) -> None:
    """Remove a folder with everything in it, and follow no link.

    Python's own function fails with a folder of a thousand levels, which any command can make.

    Raises:
        OSError: Something could not be removed.
    """
    result = subprocess.run(["rm", "-rf", "--", str(folder)], check=False, capture_output=True, text=True)
    if result.returncode:
        raise OSError(f"{folder} cannot be removed: {result.stderr.strip()[-500:]}")
