"""Services in whole runs: who can use them and when, how they fail, and what is left of them."""

import tempfile
from collections.abc import Callable

import psutil
import pytest

from deployments.local.scripted_model import Tool, Turn
from flows import errors
from flows.sandbox.services import Service
from flows.sandbox.user import MARK
from tests.support.flows_command import start
from tests.support.own_disk import own_disk
from tests.support.runs import Run, run_flow
from tests.support.service_settings import FILE, PYTHON, port_of, settings, web_service
from tests.support.world import World


def service_until_stopped() -> Service:
    """Return a web service that ends when its page `stop` is requested."""
    service = web_service()
    serve = f"{PYTHON} -m http.server --bind 127.0.0.1 {port_of(service)} > log.txt 2>&1 &"
    wait = "until grep -q 'GET /stop' log.txt; do sleep 0.1; done"
    return Service("web", f"id -u > uid.txt\n{serve}\n{wait}\necho stopped by a request; exit 9", service.health)


def run_on(world: World, **parameters: object) -> Run:
    parameters = {"repo_url": world.repo_url, "instructions": "Say hello in hello.txt", **parameters}
    return run_flow(world.stack.prefect_api_url, **parameters)


def services_alive() -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if has_service_mark(process)]


def has_service_mark(process: psutil.Process) -> bool:
    try:
        mark = process.environ().get(MARK, "")
        is_own = mark.startswith(f"{tempfile.gettempdir()}/")  # other workers have services of their own
        return is_own and mark.endswith("/services") and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def test_a_service_lives_from_the_setup_to_the_end_of_the_agent(
    make_world: Callable[[dict[str, str]], World], caplog: pytest.LogCaptureFixture
) -> None:
    service = service_until_stopped()
    address = f"http://127.0.0.1:{port_of(service)}"
    setup = f"{service.health} > ~/from-setup.txt"
    world = make_world({"README.md": "# A repository\n", FILE: settings(service, setup=setup)})
    crash = "[ -e ~/once ] || { touch ~/once; kill -9 $PPID; }"
    use = f"cat ~/from-setup.txt > uids.txt; curl -s {address}/uid.txt >> uids.txt; id -u >> uids.txt"
    stop = f"curl -s {address}/stop; while curl -s -o /dev/null {address}; do sleep 0.1; done"
    turns = [Turn("I go on.", (Tool("Bash", {"command": command}),)) for command in (crash, use, stop)]
    world.script(*turns, Turn("Done."))
    before = len(services_alive())
    caplog.set_level("INFO")
    flow_run = run_on(world)
    delivery = flow_run.delivered()
    assert flow_run.run_count("claude") > 1
    assert flow_run.run_count("services") == 1
    first, second, agent = world.content(delivery.branch, "uids.txt").splitlines()
    assert first == second != agent
    assert delivery.files == ("uids.txt",)
    assert (
        f"run on this machine for your work: web (127.0.0.1:{port_of(service)})"
        in world.stack.model.requests[0].body.decode()
    )
    assert len(services_alive()) == before
    report = flow_run.artifact()
    assert "| Services | web \\(127.0.0.1:" in report
    assert "the service web ended with exit status 9. Its last lines: stopped by a request" in report.replace("\n", " ")
    assert "service web: stopped by a request" in caplog.text


def test_a_service_that_is_not_healthy_ends_the_run_before_anything_is_spent(
    make_world: Callable[[dict[str, str]], World],
) -> None:
    service = Service("db", "echo the reason >&2; exit 3", "false")
    world = make_world({"README.md": "x\n", FILE: settings(web_service(), service, setup="touch ran.txt")})
    before = len(services_alive())
    stopped = run_on(world)
    assert type(stopped.error) is errors.ServiceFailed
    assert "the service db ended with exit status 3. Its last lines:\nthe reason" in str(stopped.error)
    assert world.stack.model.requests == []
    assert world.branches() == {"main"}
    assert stopped.run_count("services") == 1
    assert "| setup |" not in stopped.artifact()
    assert len(services_alive()) == before


def test_a_setup_that_fails_with_its_cache_runs_again_with_new_services(
    make_world: Callable[[dict[str, str]], World],
) -> None:
    service = web_service()
    used = f"http://127.0.0.1:{port_of(service)}/used.txt"
    serve = service.command.replace("-m http.server", "serve.py")
    program = (
        "import http.server, sys\n"
        "class Handler(http.server.SimpleHTTPRequestHandler):\n"
        "    def do_PUT(self): open('used.txt', 'w').close(); self.send_response(204); self.end_headers()\n"
        "http.server.test(Handler, bind=sys.argv[2], port=int(sys.argv[3]))\n"
    )
    service = Service("web", f"cat > serve.py <<'end'\n{program}end\n{serve}", service.health)
    # As the setup of a database, it does not accept what it did before.
    setup = f"if curl -sf {used}; then exit 3; fi; curl -sf -X PUT {used}; mkdir deps; touch deps/built"
    file = f"{settings(service, setup=setup)}cache: [deps]\n"
    world = make_world({"README.md": "x\n", FILE: file})
    with own_disk() as disk:
        for expected in ("cache: saved (", "the setup failed with the restored cache, so it runs again without it"):
            process = start({"REPO_URL": world.repo_url, "TMPDIR": str(disk)}, options=("setup",))
            assert process.returncode == 0, process.stderr + process.stdout
            assert expected in process.stderr


def test_the_trial_of_a_setup_starts_the_services(make_world: Callable[[dict[str, str]], World]) -> None:
    service = web_service()
    world = make_world({"README.md": "x\n", FILE: settings(service, setup=f"{service.health} && echo used")})
    process = start({"REPO_URL": world.repo_url}, options=("setup",))
    assert process.returncode == 0, process.stderr
    assert "used" in process.stdout.splitlines()
    assert f"service web (127.0.0.1:{port_of(service)}): healthy" in process.stdout


def test_the_trial_says_why_a_service_failed(make_world: Callable[[dict[str, str]], World]) -> None:
    world = make_world({"README.md": "x\n", FILE: settings(Service("db", "exit 3", "false"))})
    process = start({"REPO_URL": world.repo_url}, options=("setup",))
    assert process.returncode == 1
    assert "ServiceFailed: the service db ended with exit status 3. The service printed nothing." in process.stderr
