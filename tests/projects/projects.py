"""Three real projects whose sources come from package registries, with the setup that each would have."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Of this release, one test needs an extra, and one fails with the newest Werkzeug.
FLASK_SETUP: Final = """\
setup: |
  test -x .venv/bin/python || python3 -m venv .venv
  .venv/bin/pip install --quiet --editable . 'pytest<9'
cache: [.venv, ~/.cache/pip]
verify: |
  .venv/bin/python -m pytest -q --junitxml=report.xml \\
    --deselect tests/test_helpers.py::TestStreaming::test_async_view \\
    --deselect tests/test_reqctx.py::test_bad_environ_raises_bad_request
junit: [report.xml]
"""

FLASK_TEST: Final = """\
from flask.greeting import GREETING


def test_the_greeting():
    assert GREETING == "hello"
"""

QS_SETUP: Final = """\
setup: test -d node_modules || npm install --no-audit --no-fund --ignore-scripts
cache: [node_modules]
verify: npm test
"""

QS_TEST: Final = """\
require('tape')('the greeting', function (t) {
    t.equal(require('../lib/greeting'), 'hello');
    t.end();
});
"""

QS_TEST_PACKAGES: Final = {
    "es-value-fixtures": "^1.7.0",
    "for-each": "^0.3.3",
    "has-bigints": "^1.1.0",
    "has-override-mistake": "^1.0.1",
    "has-property-descriptors": "^1.0.2",
    "has-proto": "^1.2.0",
    "has-symbols": "^1.1.0",
    "iconv-lite": "^0.5.1",
    "mkdirp": "^0.5.5",
    "mock-property": "^1.1.0",
    "object-inspect": "^1.13.3",
    "qs-iconv": "^1.0.4",
    "safer-buffer": "^2.1.2",
    "tape": "^5.9.0",
}

# Debian's packages of Go sources, because they need no module proxy. The agent is not root, so apt gets folders in the
# home, and dpkg only unpacks. The repository is a Go workspace in the old form, with its sources below src/.
VIPER_SETUP: Final = """\
setup: |
  if ! test -d ~/go/src; then
    mkdir -p ~/.cache/apt/lists/partial ~/debs ~/unpacked
    debian() { apt-get -qq -o Dir::State::lists=$HOME/.cache/apt/lists -o Dir::Cache=$HOME/.cache/apt "$@"; }
    debian update
    debian --print-uris --yes --no-install-recommends install golang-github-spf13-viper-dev \
      | grep -o ' golang-[^_]*' | sort -u >~/packages
    (cd ~/debs && debian download $(cat ~/packages))
    for file in ~/debs/*.deb; do dpkg -x "$file" ~/unpacked; done
    rm -r ~/unpacked/usr/share/gocode/src/github.com/spf13/viper
    mkdir -p ~/go
    mv ~/unpacked/usr/share/gocode/src ~/packages ~/go
  fi
  GOPATH=$PWD:$HOME/go GO111MODULE=off go test -vet=off -run NONE github.com/spf13/viper
cache: [~/go, ~/.cache/go-build]
verify: |
  export GO111MODULE=off GOPATH=$PWD:$HOME/go; go test -vet=off -v github.com/spf13/viper | grep -c -e '--- PASS' \\
    && go test -vet=off github.com/spf13/viper
"""

VIPER_TEST: Final = """\
package viper

import "testing"

func TestGreeting(t *testing.T) {
	if greeting != "hello" {
		t.Fatalf("the greeting is %q", greeting)
	}
}
"""


@dataclass(frozen=True)
class Project:
    """A project, and how an agent runs its tests after the setup."""

    fetch: Callable[[Path], None]
    """Writes the project's files into an empty folder."""
    settings: str
    """The file `.claude-code-headless.yaml`."""
    dependencies: str
    """A shell command that prints the number of installed dependencies."""
    test: str
    """A shell command that runs the project's tests."""
    passed: str
    """A pattern for what the tests print when they have passed. Its group is the number of tests."""
    source: tuple[str, str]
    """A file that is added to the project, and its text with a defect: the word `bye` instead of `hello`."""
    failing_test: tuple[str, str]
    """A test that finds the defect: its file and its text."""


def fetch_flask(folder: Path) -> None:
    """Download Flask's source distribution from the Python package index."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "flask==3.1.2"]
    run([*pip, "--dest", str(folder)])
    unpack(folder / "flask-3.1.2.tar.gz", folder)


def fetch_qs(folder: Path) -> None:
    """Download the package qs from the npm registry. Only the packages that its tests need are left in its manifest."""
    run(["npm", "pack", "--silent", "qs@6.14.0"], folder)
    unpack(folder / "qs-6.14.0.tgz", folder)
    manifest = json.loads((folder / "package.json").read_text())
    manifest["devDependencies"], manifest["scripts"] = QS_TEST_PACKAGES, {"test": "tape 'test/**/*.js'"}
    (folder / "package.json").write_text(json.dumps(manifest, indent=2))
    (folder / ".gitignore").write_text("node_modules\n")


def fetch_viper(folder: Path) -> None:
    """Download the sources of the Go package viper from Debian."""
    run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", "golang-github-spf13-viper-dev"], folder)
    [package] = folder.glob("*.deb")
    run(["dpkg", "-x", str(package), str(folder)])
    shutil.move(folder / "usr/share/gocode/src", folder)
    shutil.rmtree(folder / "usr")
    package.unlink()


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive, without its top folder, and remove it."""
    run(["tar", "--extract", "--strip-components=1", f"--file={archive}", f"--directory={folder}"])
    archive.unlink()


def run(command: list[str], folder: Path | None = None) -> None:
    """Run a command that must succeed."""
    subprocess.run(command, cwd=folder, check=True)


PROJECTS: Final = {
    "python": Project(
        fetch_flask,
        FLASK_SETUP,
        ".venv/bin/pip list --format=freeze --exclude-editable | grep -vc '^pip='",
        ".venv/bin/python -m pytest -q",
        r"(\d+) passed",
        ("src/flask/greeting.py", 'GREETING = "bye"\n'),
        ("tests/test_greeting.py", FLASK_TEST),
    ),
    "node": Project(
        fetch_qs,
        QS_SETUP,
        "ls node_modules | wc -l",
        "npm test",
        r"# pass\s+(\d+)",
        ("lib/greeting.js", "module.exports = 'bye';\n"),
        ("test/greeting.js", QS_TEST),
    ),
    "go": Project(
        fetch_viper,
        VIPER_SETUP,
        "wc -l <~/go/packages",
        "export GO111MODULE=off GOPATH=$PWD:$HOME/go;go test -vet=off -v github.com/spf13/viper | grep -c -e '--- PASS'"
        " && go test -vet=off github.com/spf13/viper",
        r"(\d+)\nok",
        ("src/github.com/spf13/viper/greeting.go", 'package viper\n\nconst greeting = "bye"\n'),
        ("src/github.com/spf13/viper/greeting_test.go", VIPER_TEST),
    ),
}
