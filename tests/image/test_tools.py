"""The tools of the full image, used by the agent in a real run: as its user, in its environment and with its home."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pytest

from deployments.local.scripted_model import Tool, Turn
from tests.image.test_image import variables
from tests.support.container_engine import Engine
from tests.support.world import World

pytestmark = [pytest.mark.image, pytest.mark.timeout(600)]

# A wheel without a build backend, because no test reaches a package index.
WHEEL: Final = """python3 - <<'END'
import zipfile
with zipfile.ZipFile("hello-1-py3-none-any.whl", "w") as wheel:
    wheel.writestr("hello.py", "print('from a wheel')")
    wheel.writestr("hello-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: hello\\nVersion: 1\\n")
    wheel.writestr("hello-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr("hello-1.dist-info/RECORD", "")
END
"""


@dataclass(frozen=True)
class Use:
    """What an agent does with a tool, and the last line that the tool must print."""

    commands: str
    last_line: str


TOOLS: Final = {
    "gcc": Use("echo 'int puts(const char *); int main() {puts(\"C\");}' >a.c && gcc a.c -o a && ./a", "C"),
    "g++": Use("printf '#include <iostream>\\nint main() {std::cout << 1;}' >a.cc && g++ a.cc -o a && ./a", "1"),
    "make": Use("printf 'all:\\n\\t@echo made\\n' >Makefile && make", "made"),
    "venv, pip": Use(
        f"{WHEEL} python3 -m venv v && v/bin/pip install --no-index ./*.whl && v/bin/python -m hello", "from a wheel"
    ),
    "uv": Use(
        f"{WHEEL} uv venv --offline v && uv pip install --offline --python v/bin/python ./*.whl"
        " && v/bin/python -m hello",
        "from a wheel",
    ),
    "python": Use("python --version", r"Python 3\.13\.\d+"),
    "Python.h": Use("echo '#include <Python.h>' >a.c && gcc $(python3-config --includes) -c a.c && ls a.o", r"a\.o"),
    "node": Use("node --print '[1, 2].at(-1) + process.version'", r"2v24\.\d+\.\d+"),
    "npm": Use(
        "mkdir p && (cd p && npm init --yes) && npm init --yes && npm install --no-audit ./p && ls node_modules", "p"
    ),
    "corepack": Use("command -v pnpm yarn && corepack --version", r"\d+\.\d+\.\d+"),
    "javac": Use(
        "echo 'class A {public static void main(String[] a) {System.out.println(System.getProperty(\"user.home\"));}}'"
        ' >A.java && javac A.java && test "$(java A)" = "$HOME" && javac -version',
        r"javac 21\.\d+\.\d+.*",
    ),
    "mvn": Use("mvn -v >out && grep '^Java version' out", "Java version: 21.*"),
    "go": Use("echo 'package main; func main() {println(\"Go\")}' >main.go && go mod init a && go run .", "Go"),
    "git lfs": Use(
        "git init && git lfs install --local && git lfs track '*.bin' && echo 1 >a.bin && git add . && git show :a.bin"
        " && git lfs ls-files",
        r".* \* a\.bin",
    ),
    "rg": Use("echo 'a needle' >hay && rg --no-filename needle", "a needle"),
    "jq": Use("echo '{\"a\": 7}' | jq .a", "7"),
    "curl": Use("echo fetched >a && curl --silent --show-error file://$PWD/a", "fetched"),
    "unzip": Use("echo zipped >a && zip -q a.zip a && unzip -p a.zip", "zipped"),
    "user": Use("id -u && grep CapEff /proc/self/status", r"CapEff:\s*0+"),
}


def script(names: Sequence[str]) -> str:
    """Return a shell script that uses each tool in a folder of its own, and adds what they print to tools.txt."""
    parts = [f"echo '=== {name}'; (set -e; cd \"$(mktemp -d)\"; {TOOLS[name].commands}\n) 2>&1" for name in names]
    return "{ " + "\n".join(parts) + "\n} >>tools.txt"


def test_the_agent_can_use_every_tool(world: World, engine: Engine) -> None:
    names = list(TOOLS)
    # Claude Code ends a command after two minutes, so there is more than one.
    groups = [names[start : start + 4] for start in range(0, len(names), 4)]
    world.script(*(Turn("I try.", (Tool("Bash", {"command": script(group)}),)) for group in groups), Turn("Done."))
    environment = {**variables(world), "BRANCH_NAME": "tools"}
    with engine.container(environment=environment, read_only=True) as container:
        status, output = container.wait_for_exit()
    assert status == 0, output
    parts = world.content("tools", "tools.txt").split("=== ")[1:]
    printed = {name: text for name, _, text in (part.partition("\n") for part in parts)}
    wrong = {
        name: printed.get(name, "")
        for name, tool in TOOLS.items()
        if not re.fullmatch(tool.last_line, printed.get(name, "").strip().rpartition("\n")[2])
    }
    assert wrong == {}
