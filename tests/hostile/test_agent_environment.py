"""An agent that shows the secrets of `agent_environment` in every way: nothing outside the agent holds them."""

import uuid
from collections.abc import Callable

from prefect.types import SecretDict

from blocks import ClaudeCode
from flows.errors import BlockNotForRepository
from tests.support.attack import Attack
from tests.support.sightings import holders, seen_in

TOKEN = f"local-registry-token-{uuid.uuid4().hex[:8]}"
PASSWORD = f"local p&ss/wörd'{uuid.uuid4().hex[:8]}"
SHOW = r"""
env; env >&2; cat /proc/self/environ; set; export -p; printf %s "$TOKEN" | base64; printf %s "$PASSWORD" | xxd -p
python3 -c 'import json, os, urllib.parse; p = os.environ["PASSWORD"]
print(json.dumps(p), repr(p), p.encode(), urllib.parse.quote(p)); raise SystemExit(p)'
printf '[user]\nname = %s\nemail = a@b.c\n' "$TOKEN" >> .git/config
git commit --quiet --allow-empty -F - <<< "$PASSWORD"
printf %s "${#TOKEN} ${#PASSWORD}" > lengths.txt
"""


def test_printed_secrets_of_the_agent_stay_with_the_agent(run_attack: Callable[..., Attack]) -> None:
    name = f"secrets-{uuid.uuid4().hex[:8]}"
    variables = SecretDict({"TOKEN": TOKEN, "PASSWORD": PASSWORD})
    ClaudeCode(agent_environment=variables, repositories=["http://127.0.0.1/**", "http://localhost/**"]).save(name)
    refused = run_attack(SHOW, claude_code_block=name)
    assert type(refused.run.error) is BlockNotForRepository, "without a port, the default port is meant"
    server = refused.world.repo_url.rpartition("/")[0]
    ClaudeCode(agent_environment=variables, repositories=[f"{server}/*"]).save(name, overwrite=True)
    attack = run_attack(SHOW, claude_code_block=name, limits={"checkpoint_seconds": 1})
    attack.check_isolation()
    delivery = attack.run.delivered()
    assert attack.world.content(delivery.branch, "lengths.txt") == f"{len(TOKEN)} {len(PASSWORD)}"
    assert any(TOKEN.encode() in mark.text for mark in attack.marks), "the agent did not get its secrets"
    secrets = (TOKEN, PASSWORD)
    shown = attack.argv + attack.output + repr(attack.run.state).encode() + attack.run.artifact().encode()
    assert seen_in(shown, secrets) == []
    assert holders((attack.world.stack.home / "prefect-server").rglob("*"), secrets) == []
    assert holders(attack.run.saved_file("").rglob("*"), secrets) == []
    pushed = attack.world.git("log", "--all", "--format=%an %ae %B", "-p").encode("utf-8", "surrogateescape")
    assert seen_in(pushed, secrets) == []
