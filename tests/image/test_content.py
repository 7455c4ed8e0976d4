"""What the image contains and what it must not contain: its files, layer by layer, its configuration and history."""

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
MAX_BYTES: Final = 1_100_000_000
MAX_COMPRESSED_BYTES: Final = 450_000_000


@pytest.fixture(scope="session")
def archive(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The image, saved as a file."""
    path = engine.save(tmp_path_factory.mktemp("image") / "image.tar")
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


def test_development_tools_are_not_in_the_image(engine: Engine) -> None:
    code = (
        "import shutil, importlib.util as i;"
        f"print(*[m for m in {MODULES} if i.find_spec(m)], *[p for p in {PROGRAMS} if shutil.which(p)])"
    )
    assert engine.output("python", "-c", code).split() == ["flows", "blocks", "git", "setpriv", "prlimit", "tini"]


def test_its_labels_name_it_its_version_and_its_revision(engine: Engine) -> None:
    template = "{{range $name, $value := .Config.Labels}}{{$name}}={{$value}}\n{{end}}"
    labels = engine.call("image", "inspect", "--format", template, engine.image)
    assert "org.opencontainers.image.title=claude-code-headless\n" in labels
    assert re.search(r"^org\.opencontainers\.image\.version=\d+\.\d+\.\d+$", labels, re.MULTILINE)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert f"org.opencontainers.image.revision={head.stdout.strip()}" in labels


def test_its_size_is_within_the_limits(engine: Engine, archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["zstd", "-3", "-T0", "--quiet", archive], check=True)
    packed = archive.with_name(f"{archive.name}.zst")
    whole, compressed = archive.stat().st_size, packed.stat().st_size
    packed.unlink()
    with capsys.disabled():
        print(f"\n{engine.image}: {whole / 1e6:.0f} MB, {compressed / 1e6:.0f} MB compressed with zstd")
        print(engine.call("history", "--format", "{{.Size}}\t{{.CreatedBy}}", engine.image))
    assert whole < MAX_BYTES
    assert compressed < MAX_COMPRESSED_BYTES
