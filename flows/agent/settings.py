"""Claude Code's settings file and permission mode, derived from a run's validated `claude_settings`."""

import json
from typing import Any, Final

_DEFAULT_MODE: Final = "acceptEdits"


def settings_file(settings: dict[str, Any]) -> bytes:
    """Return the content of the file for `--settings`. It turns attribution off, because the run makes the commit."""
    return json.dumps({"attribution": {"commit": "", "pr": ""}, **settings}, indent=1).encode()


def permission_mode(settings: dict[str, Any]) -> str:
    """Return the value for `--permission-mode`."""
    return str(settings.get("permissions", {}).get("defaultMode", _DEFAULT_MODE))
