"""A run store that blocks while it writes one file, and the program of a machine that uses it."""

import runpy
import time

from prefect.filesystems import LocalFileSystem


class SlowStore(LocalFileSystem):
    """A local file system that never finishes writing one file."""

    _block_type_name = "Slow Store"
    _block_type_slug = "slow-store"

    stops_in: str = ""
    """The end of that file's path."""

    def write_path(self, path: str, content: bytes) -> str:  # type: ignore[override]  # Prefect declares the method as sync or async
        if not path.endswith(self.stops_in):
            return str(super().write_path(path, content))
        target = self._resolve_path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            file.write(content[: len(content) // 2])
            file.flush()
            time.sleep(3600)
        return str(target)


if __name__ == "__main__":
    import tests.durability.slow_store  # noqa: F401 (registers the block type)

    runpy.run_module("prefect.engine", run_name="__main__")
