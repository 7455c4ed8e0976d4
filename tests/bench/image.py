"""Row 9: the images, compared with one that has Debian, the aws CLI, node, git and the npm package of Claude Code."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.bench.measures import Measure, at_most
from tests.bench.sides import PROJECT, Sides

_GOALS: Final = {"slim": 0.6, "full": 1.0}
_OURS: Final = "claude-code-headless-bench"
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
    _build_plain(builder)
    plain_mb = _compressed_mb(builder, _PLAIN, sides.region.directory)
    for target, goal in _GOALS.items():
        _build(builder, target)
        our_mb = _compressed_mb(builder, f"{_OURS}-{target}", sides.region.directory)
        sizes = f"ours {our_mb:.0f} MB, plain {plain_mb:.0f} MB"
        yield at_most(9, f"image {target}, compressed by zstd", our_mb / plain_mb, goal, "plain", sizes)


def _works(tool: str) -> bool:
    return bool(shutil.which(tool)) and subprocess.run([tool, "info"], capture_output=True, check=False).returncode == 0


def _env() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL"}}


def _build(builder: str, target: str) -> None:
    options = [f"BUILDER={builder}", f"IMAGE_TARGET={target}", f"IMAGE={_OURS}-{target}"]
    subprocess.run(["make", "--no-print-directory", "image", *options], cwd=PROJECT, check=True, env=_env())


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
