"""What a run keeps, on whatever file system the caller hands over, so that the agent's work outlives its workspace.

claude-code-headless/<flow run id>/transcript.jsonl.gz   the agent's event stream, as it came
claude-code-headless/<flow run id>/change.bundle         the change, for `git fetch`
claude-code-headless/<flow run id>/report.md             what the run said at its end
"""

import gzip
from dataclasses import dataclass
from typing import Protocol


class FileSystem(Protocol):
    """Prefect's writable file systems, as far as a run needs them."""

    def write_path(self, path: str, content: bytes) -> object:
        """Write one file whole."""


@dataclass(frozen=True)
class RunStore:
    """The keepings of one flow run."""

    files: FileSystem
    flow_run_id: str

    def keep_transcript(self, events: bytes) -> str:
        """Keep the agent's event stream, compressed; return its path."""
        return self._keep("transcript.jsonl.gz", gzip.compress(events, compresslevel=3, mtime=0))

    def keep_change(self, bundle: bytes) -> str:
        """Keep the change as a git bundle; return its path."""
        return self._keep("change.bundle", bundle)

    def keep_report(self, markdown: str) -> str:
        """Keep the report; return its path."""
        return self._keep("report.md", markdown.encode())

    def path(self, name: str) -> str:
        """Return the path of one of the run's files."""
        return f"claude-code-headless/{self.flow_run_id}/{name}"

    def _keep(self, name: str, content: bytes) -> str:
        self.files.write_path(self.path(name), content)
        return self.path(name)
