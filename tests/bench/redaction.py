"""How fast text is redacted, by the number of known secrets: megabytes per second of CPU time."""

import base64
import json
import random
import string
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import prefect

from flows.redaction import Secrets

_SECRETS: Final = (1, 10, 200, 1000)
_TEXT_BYTES: Final = 4_000_000
_REPEATS: Final = 5


def source_code() -> str:
    """Return source code in lines of JSON, like a transcript with the files that an agent has read."""
    files = sorted(Path(prefect.__file__).parent.rglob("*.py"))
    text = "".join(file.read_text() for file in files)[:_TEXT_BYTES]
    return "\n".join(json.dumps({"content": text[at : at + 2000]}) for at in range(0, len(text), 2000))


def seconds(function: Callable[[], object]) -> float:
    """Return the shortest of several measurements, in CPU time, since other programs run too."""
    times = []
    for _ in range(_REPEATS):
        start = time.thread_time()
        function()
        times.append(time.thread_time() - start)
    return min(times)


def main() -> None:
    """Print one line for each number of secrets and kind of text."""
    source = random.Random(0)  # noqa: S311 (the same each time)
    texts = {"source code": source_code(), "base64": base64.b64encode(source.randbytes(_TEXT_BYTES * 3 // 4)).decode()}
    for count in _SECRETS:
        secrets = Secrets()
        for number in range(count):
            secrets.learn(f"{number}", "".join(source.choices(string.ascii_letters + string.digits, k=40)))
        start = time.thread_time()
        secrets.redact("")
        prepared = time.thread_time() - start
        for kind, text in texts.items():
            content, megabytes = text.encode(), len(text) / 1e6
            as_text = megabytes / seconds(partial(secrets.redact, text))
            as_bytes = megabytes / seconds(partial(secrets.redact_bytes, content))
            print(
                f"{count:5} secrets, {kind:12}: text {as_text:5.0f} MB/s, bytes {as_bytes:5.0f} MB/s, "
                f"prepared in {prepared * 1000:.0f} ms"
            )


if __name__ == "__main__":
    main()
