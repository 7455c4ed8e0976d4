"""What the images contain and must not contain: their files, layer by layer, their configuration and history."""

import os
import re
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

import pytest

from tests.support.container_engine import Engine

pytestmark = [pytest.mark.image, pytest.mark.timeout(300)]

PROJECT: Final = Path(__file__).parents[2]
CREDENTIAL_FILES: Final = {"pip.conf", ".netrc", ".pypirc", ".git-credentials", ".npmrc", "credentials", ".env"}
CREDENTIAL_NAME: Final = re.compile(r"TOKEN|SECRET|PASSWORD|API_?KEY")
MODULES: Final = ("flows", "blocks", "pip", "setuptools", "pytest", "moto", "mypy", "deployments", "tests")
PROGRAMS: Final = ("git", "setpriv", "prlimit", "tini", "pip", "pip3", "gcc", "make", "node", "curl")
MAX_MB: Final = {"full": (2_300, 720), "slim": (1_100, 450)}
"""The largest size of each image in MB, and its largest size when zstd has compressed it."""


@pytest.fixture(scope="session")
def archive(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The full image, saved as a file. It has all files of the slim image."""
    path = engine.save(tmp_path_factory.mktemp("image") / "image.tar")
    yield path
    path.unlink()


@pytest.fixture(scope="session")
def slim_archive(slim: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The slim image, saved as a file."""
    path = slim.save(tmp_path_factory.mktemp("slim") / "slim.tar")
    yield path
    path.unlink()


def files(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the path and content of every file of every layer, and of the configuration."""
    with tarfile.open(archive) as image:
        for member in image:
            if not member.isfile() or (file := image.extractfile(member)) is None:
                continue
            try:
                with tarfile.open(fileobj=file) as layer:
                    yield from layer_files(layer)
            except tarfile.ReadError:
                file.seek(0)
                yield "configuration", file.read()


def layer_files(layer: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    for member in layer:
        if member.isfile() and (file := layer.extractfile(member)) is not None:
            yield member.name, file.read()


def host_secrets() -> list[str]:
    """Return what this host knows and the image must not contain: credentials, pip's indexes, the checkout's path."""
    pip = Path(os.environ["PIP_CONFIG"]).read_text() if os.environ.get("PIP_CONFIG") else ""
    credentials = [value for name, value in os.environ.items() if CREDENTIAL_NAME.search(name) and len(value) >= 8]
    return [*credentials, *re.findall(r"\w+://\S+", pip), str(PROJECT)]


def paths_by_text(archive: Path, texts: Sequence[str]) -> dict[str, list[str]]:
    """Return the paths of the files that contain a text, for each text that occurs at all."""
    paths: dict[str, list[str]] = {}
    for path, content in files(archive):
        for text in texts:
            if text.encode() in content:
                paths.setdefault(text, []).append(path)
    return paths


def test_no_layer_configuration_or_history_contains_the_hosts_secrets(archive: Path) -> None:
    expected = {
        "clones a git repository, downloads instructions": "opt/claude-code-headless/flows/__main__.py",
        "PREFECT_HOME=/tmp/prefect": "configuration",
    }
    paths = paths_by_text(archive, [*expected, *host_secrets()])
    assert all(path in paths.pop(text) for text, path in expected.items())
    assert paths == {}


def test_no_layer_has_a_file_for_credentials(archive: Path) -> None:
    paths = [path for path, _ in files(archive)]
    assert "opt/venv/lib/python3.13/site-packages/claude_agent_sdk/_bundled/claude" in paths
    assert [path for path in paths if PurePosixPath(path).name in CREDENTIAL_FILES] == []


def test_all_files_belong_to_root_and_only_root_can_write_them(engine: Engine) -> None:
    output = engine.output("find", "/opt", "!", "-type", "l", "(", "!", "-user", "root", "-o", "-perm", "/022", ")")
    assert output == ""
    assert engine.output("stat", "--format=%U %a", "/opt/claude-code-headless/flows") == "root 755\n"


def test_development_tools_are_not_in_the_slim_image(slim: Engine) -> None:
    code = (
        "import shutil, importlib.util as i;"
        f"print(*[m for m in {MODULES} if i.find_spec(m)], *[p for p in {PROGRAMS} if shutil.which(p)])"
    )
    assert slim.output("python", "-c", code).split() == ["flows", "blocks", "git", "setpriv", "prlimit", "tini"]


def test_its_labels_name_it_its_version_and_its_revision(engine: Engine) -> None:
    template = "{{range $name, $value := .Config.Labels}}{{$name}}={{$value}}\n{{end}}"
    labels = engine.call("image", "inspect", "--format", template, engine.image)
    assert "org.opencontainers.image.title=claude-code-headless\n" in labels
    assert re.search(r"^org\.opencontainers\.image\.version=\d+\.\d+\.\d+$", labels, re.MULTILINE)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert f"org.opencontainers.image.revision={head.stdout.strip()}" in labels


def test_every_file_of_the_slim_image_is_in_the_full_image(slim_archive: Path, archive: Path) -> None:
    slim, full = ({path for path, _ in files(image)} for image in (slim_archive, archive))
    assert "opt/claude-code-headless/flows/__main__.py" in slim
    assert {path for path in slim - full if path.startswith(("opt/", "usr/local/"))} == set()


@pytest.mark.parametrize("target", MAX_MB)
def test_its_size_is_within_the_limits(
    request: pytest.FixtureRequest, engine: Engine, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    archive: Path = request.getfixturevalue("archive" if target == "full" else "slim_archive")
    subprocess.run(["zstd", "-3", "-T0", "--quiet", archive], check=True)
    packed = archive.with_name(f"{archive.name}.zst")
    whole_mb, compressed_mb = archive.stat().st_size / 1e6, packed.stat().st_size / 1e6
    packed.unlink()
    with capsys.disabled():
        print(f"\n{target}: {whole_mb:.0f} MB, {compressed_mb:.0f} MB compressed with zstd")
        print(engine.call("history", "--format", "{{.Size}}\t{{.CreatedBy}}", engine.image) if target == "full" else "")
    largest_mb, largest_compressed_mb = MAX_MB[target]
    assert whole_mb < largest_mb
    assert compressed_mb < largest_compressed_mb
