"""Row 9: the image, compared with one that has Debian, the aws CLI, node, git and the npm package of Claude Code."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.bench.measures import Measure, at_most
from tests.bench.sides import PROJECT, Sides

_GOAL: Final = 0.6
_OURS: Final = "claude-code-headless"
_PLAIN: Final = "claude-code-headless-bench-plain"
_PLAIN_FILE: Final = PROJECT / "tests" / "bench" / "plain.Dockerfile"


def image(sides: Sides, count: int) -> Iterator[Measure]:
    """Row 9: the size of the image. Without a program that builds images it is not measured."""
    del count
    builder = next((tool for tool in ("docker", "podman", "buildah") if _works(tool)), "")
    if not builder or not shutil.which("zstd"):
        yield Measure(
            9, "image, compressed by zstd", "not measured: no docker, podman or buildah, or no zstd", "", met=False
        )
        return
    subprocess.run(["make", "--no-print-directory", "image", f"BUILDER={builder}"], cwd=PROJECT, check=True, env=_env())
    _build_plain(builder)
    our_mb, plain_mb = (_compressed_mb(builder, name, sides.region.directory) for name in (_OURS, _PLAIN))
    sizes = f"ours {our_mb:.0f} MB, plain {plain_mb:.0f} MB"
    yield at_most(9, "image, compressed by zstd", our_mb / plain_mb, _GOAL, "plain", sizes)


def _works(tool: str) -> bool:
    return bool(shutil.which(tool)) and subprocess.run([tool, "info"], capture_output=True, check=False).returncode == 0


def _env() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL"}}


def _build_plain(builder: str) -> None:
    flags = os.environ.get("BUILD_FLAGS", "").split()
    layers = ["--layers"] if builder == "buildah" else []
    context = str(_PLAIN_FILE.parent)
    command = [builder, "build", *layers, *flags, "--tag", _PLAIN, "--file", str(_PLAIN_FILE), context]
    subprocess.run(command, check=True)


def _compressed_mb(builder: str, name: str, directory: Path) -> float:
    """Return the size of the image's layers in MB, compressed by zstd at its default level."""
    archive = directory / f"{name}.tar"
    save = ["push", "--quiet", name, f"docker-archive:{archive}:{name}"] if builder == "buildah" else [
        "save", "--output", str(archive), name]  # fmt: skip
    subprocess.run([builder, *save], check=True, stdout=subprocess.DEVNULL)
    packed = subprocess.run(f"zstd -q -3 -c '{archive}' | wc -c", shell=True, check=True, capture_output=True).stdout  # noqa: S602 (a pipe of two constants)
    archive.unlink()
    return int(packed) / 10**6
