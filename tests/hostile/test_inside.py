"""What the agent's own shell can reach from inside a run: its directories and the gateway with its token, nothing else."""

import os
import re
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest
from tests.support.attack import Attack, Markers, SecondServer
from tests.support.environment import REAL_HOME
from tests.support.runs import run_flow
from tests.support.world import World

READ_PROCESSES = r"""
for pid in 1 {pid}; do for f in environ mem maps auxv io fd cwd root stack; do
  if [ -d /proc/$pid/$f ]; then ls /proc/$pid/$f/ >/dev/null 2>&1 && echo /proc/$pid/$f
  else head -c1 /proc/$pid/$f 2>/dev/null | grep -q . && echo /proc/$pid/$f; fi
done; kill -0 $pid 2>/dev/null && echo kill $pid; done > readable.txt
for f in {paths}; do ls -d $f/. >/dev/null 2>&1 && ls $f >/dev/null 2>&1 && echo $f; [ -f $f ] && head -c1 $f && echo $f
done >> readable.txt 2>/dev/null
cat > trace.py <<'END'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for pid in (1, {pid}):
    if libc.ptrace(0x4206, pid, 0, 0) == 0: print("ptrace", pid)
    buffer = ctypes.create_string_buffer(8)
    class Part(ctypes.Structure): _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
    here, there = Part(ctypes.addressof(buffer), 8), Part(id(ctypes), 8)
    if libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) > 0: print("readv", pid)
    descriptor = libc.syscall(434, pid, 0)
    if descriptor >= 0 and libc.syscall(438, descriptor, 1, 0) >= 0: print("getfd", pid)
if libc.ptrace(0x4206, os.getppid(), 0, 0) == 0: print("control")
END
python3 trace.py > traced.txt; rm trace.py
"""
GAIN = r"""
{ for c in "sudo -n id -u" "su -c id" "mount -t tmpfs none /mnt" "mknod device b 8 0" "chown 0 README.md" \
  "setpriv --reuid 0 id -u" "chroot / id -u" "nsenter -t 1 -m id -u" "date -s now" "chmod u+w /etc/shadow"; do
  $c </dev/null >/dev/null 2>&1 && echo "$c"; done
  unshare -r mount -t tmpfs none /mnt 2>/dev/null; touch /mnt/x 2>/dev/null && echo mounted
  python3 -c 'import os; os.setuid(0)' 2>/dev/null && echo setuid
} > gained.txt
find / -xdev \( -path /proc -o -path /sys -o -path /tmp -o -path /var/tmp \) -prune -o -writable ! -type l -print 2>/dev/null \
  > writable.txt
grep -E '^(Max (core|open files|processes|file size))' /proc/self/limits > limits.txt
env | cut -d= -f1 | sort > names.txt
for p in $$ $PPID; do for f in /proc/$p/fd/*; do echo "$p ${f##*/} $(readlink $f)"; done; done > descriptors.txt
cat /proc/self/status > status.txt; cat /proc/self/oom_score_adj > oom.txt
"""
GATEWAY = r"""
G=${ANTHROPIC_BEDROCK_BASE_URL}; H=$ANTHROPIC_CUSTOM_HEADERS; M=/model/us.anthropic.claude-sonnet-5-5
ask() { curl -s -o /dev/null -w '%{http_code}\n' "$@"; }
{ ask -d '{}' $G$M/invoke; ask -H 'x-gateway-token: wrong' -d '{}' $G$M/invoke; ask -H "$H" $G/; ask -H "$H" $G$M/invoke
  ask -H "$H" -d '{}' $G/model/another/invoke; ask -H "$H" -d '{}' $G/v1/messages; ask -H "$H" -d '{}' --path-as-is $G$M/../x/invoke
  ask -H "$H" -d '{}' $G/model/us.anthropic.claude-sonnet-5-5%2f..%2fx/invoke; ask -H "$H" -d '[]' $G$M/invoke
  ask -H "$H" -d '{"mcp_servers":[]}' $G$M/invoke; ask -H "$H" -d 'no json' $G$M/invoke; ask -H "$H" -d '{}' $G//169.254.170.2/
} > asked.txt
"""
SURVIVE = r"""
for i in 1 2 3; do setsid nohup sh -c "sleep 300" >/dev/null 2>&1 & done
echo keep > /dev/shm/left-$(id -u); mkdir -p /tmp/left-$(id -u)/x; chmod 0 /tmp/left-$(id -u)
"""


class CredentialEndpoint(LoopbackServer):
    """ECS's credential endpoint: any client that knows the path gets the role's credentials."""

    path = f"/v2/credentials/{uuid.uuid4()}"

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        exchange.reply(200 if request.path == self.path else 403, b"{}")


def agent_file(attack: Attack, name: str) -> str:
    return attack.world.content(attack.run.delivered().branch, name)


def test_nothing_of_the_trusted_side_can_be_read_traced_or_signalled(
    run_attack: Callable[..., Attack], monkeypatch: pytest.MonkeyPatch
) -> None:
    aws = Path.home() / ".aws"
    aws.mkdir(exist_ok=True)
    (aws / "credentials").write_text("[default]\naws_secret_access_key = x\n")
    paths = (
        f"{aws} {aws}/credentials {os.environ['PREFECT_HOME']} ../../trusted ../../trusted/clean.git "
        f"{REAL_HOME} {REAL_HOME}/.aws"
    )
    with CredentialEndpoint() as endpoint:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoint.url + endpoint.path)
        script = READ_PROCESSES.replace("{pid}", str(os.getpid())).replace("{paths}", paths)
        search = f"grep -rlsa {endpoint.path.rpartition('/')[2][:18]}'[-]' /proc/[0-9]*/environ ~ $TMPDIR > path.txt; "
        attack = run_attack(
            f"{script}{search}curl -s -o /dev/null -w '%{{http_code}}' {endpoint.url}/v2/credentials/ > endpoint.txt"
        )
        requested_paths = {request.path for request in endpoint.requests}
    attack.check_isolation()
    assert agent_file(attack, "readable.txt") == ""
    assert agent_file(attack, "traced.txt") == "control"
    assert agent_file(attack, "path.txt") == ""
    assert (agent_file(attack, "endpoint.txt"), requested_paths) == ("403", {"/v2/credentials/"})


def test_the_agent_gains_no_privilege_descriptor_variable_or_writable_path(run_attack: Callable[..., Attack]) -> None:
    attack = run_attack(GAIN + SURVIVE)
    attack.check_isolation()
    assert agent_file(attack, "gained.txt") == ""
    outside = [
        path for path in agent_file(attack, "writable.txt").splitlines() if not re.match(r"/(dev|run/lock)\b", path)
    ]
    assert outside == []
    assert [
        name
        for name in agent_file(attack, "names.txt").splitlines()
        if re.match(r"AWS_|PREFECT_|GIT_(?!TERMINAL_PROMPT|EDITOR|SSL_CAINFO)|DATABASE", name)
    ] == []
    status = dict(re.findall(r"(\w+):[\t ]*(.*)", agent_file(attack, "status.txt")))
    assert {int(status[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
    assert (status["NoNewPrivs"].strip(), status["Groups"].strip()) == ("1", "")
    limits = {line[:25].strip(): line[25:].split()[1] for line in agent_file(attack, "limits.txt").splitlines()}
    assert limits["Max core file size"] == "0"
    assert int(limits["Max open files"]) <= 65_536
    assert int(limits["Max processes"]) <= 4_096
    assert int(limits["Max file size"]) <= 32 * 2**30
    inherited = re.findall(r"(/\S*(?:trusted|\.prefect|hosts)\S*)", agent_file(attack, "descriptors.txt"))
    assert {Path(path).name for path in inherited} <= {"prompt.md", "transcript.stderr"}


def test_the_gateway_serves_the_runs_own_model_to_its_own_token_and_nothing_else(
    run_attack: Callable[..., Attack],
) -> None:
    attack = run_attack(GATEWAY)
    attack.check_isolation()
    statuses = agent_file(attack, "asked.txt").split()
    assert len(statuses) == 12
    assert set(statuses) == {"403", "400"}
    assert statuses.count("400") == 1
    assert len(attack.world.stack.model.requests) == 2


def test_two_runs_at_once_cannot_reach_each_other(
    make_repository: Callable[[Callable[[Path], None]], World], markers: Markers, second_server: SecondServer
) -> None:
    world = make_repository(lambda _: None)
    meet = r"""
    U=$(id -u); realpath ../.. > $D/at-$U; chmod 644 $D/at-$U; sleep 300 & echo $! > $D/pid-$U
    for i in $(seq 200); do [ $(ls $D | grep -c ^pid-) = 2 ] && break; sleep .1; done; sleep .5
    for other in $D/at-*; do [ $other = $D/at-$U ] && continue
      R=$(cat $other); P=$(cat $D/pid-${other##*-}); echo met > met.txt; : > other.txt
      for p in $R/agent $R/claude $R/agent/home $R/agent/work-tree/README.md $R/instructions $R/config $R/config/settings.json $R/trusted \
        /proc/$P/environ /proc/$P/maps /proc/$P/fd /proc/$P/cwd/; do
        if [ -d $p ]; then ls $p >/dev/null 2>&1 && echo $p; else head -c1 $p >/dev/null 2>&1 && echo $p; fi
      done >> other.txt; kill -9 $P 2>/dev/null && echo kill >> other.txt
      touch $R/x $R/agent/x 2>/dev/null && echo touch >> other.txt
    done; sleep 1
    """
    world.shell(markers.script(meet, second_server))
    runs = []

    def start() -> None:
        runs.append(run_flow(world.stack.prefect_api_url, repo_url=world.repo_url, instructions="Meet"))

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    branches = [run.delivered().branch for run in runs]
    assert [world.content(branch, "met.txt") for branch in branches] == ["met", "met"]
    assert [world.content(branch, "other.txt") for branch in branches] == ["", ""]
    assert len({mark.uid for mark in markers.seen()}) == 2
