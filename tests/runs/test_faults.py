"""Faults during a run: a step is retried if that helps, or fails with a named error, and the work is saved."""

import threading
import time
from collections.abc import Callable

import httpx
import psutil
import pytest

from deployments.local.git_remote import GitFault
from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest
from deployments.local.scripted_model import ModelFault, Tool, Turn
from flows import errors
from flows.agent.command import environment
from flows.tasks.claude import run_claude
from tests.support.runs import Run
from tests.support.world import World


class BusyS3(LoopbackServer):
    """A proxy for S3 that is too busy for the first few downloads."""

    def __init__(self, s3_url: str, busy: int) -> None:
        super().__init__()
        self.s3_url, self.busy = s3_url, busy

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        if self.busy > 0:
            self.busy -= 1
            exchange.reply(503, b"<Error><Code>SlowDown</Code><Message>busy</Message></Error>")
            return
        response = httpx.get(self.s3_url + request.path, headers=request.headers)
        names = ("etag", "content-type", "x-amz-version-id", "last-modified")
        headers = {name: value for name, value in response.headers.items() if name in names}
        exchange.reply(response.status_code, response.content, headers)


@pytest.mark.parametrize(("busy", "attempts"), [(1, 1), (3, 2)])
def test_a_request_to_a_busy_s3_is_retried(
    world: World, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, busy: int, attempts: int
) -> None:
    uri = world.instructions() + "main.md"
    with BusyS3(world.stack.aws_url, busy) as s3:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.url)
        flow_run = run(instructions_s3_uri=uri)
    flow_run.delivered()
    assert flow_run.run_count("instructions") == attempts


def test_a_clone_that_breaks_off_is_retried(world: World, run: Callable[..., Run]) -> None:
    world.stack.git.faults.extend([GitFault("/git-upload-pack"), GitFault("/git-upload-pack", 503)])
    flow_run = run()
    flow_run.delivered()
    assert flow_run.run_count("clone") >= 2


def test_a_push_is_retried_without_running_the_agent_again(world: World, run: Callable[..., Run]) -> None:
    world.stack.git.faults.append(GitFault("/git-receive-pack", 503))
    flow_run = run()
    delivery = flow_run.delivered()
    assert flow_run.run_count("push") == 2
    assert flow_run.run_count("claude") == 1
    assert len(world.stack.model.requests) == 2
    assert world.git("rev-parse", delivery.branch) == delivery.commit


def test_a_run_waits_for_an_overloaded_model(world: World, run: Callable[..., Run]) -> None:
    world.script().faults.append(ModelFault(529))
    flow_run = run()
    flow_run.delivered()
    assert flow_run.run_count("claude") == 1
    assert len(world.stack.model.requests) == 3


def test_a_model_that_stays_overloaded_fails_the_run_and_the_work_is_saved(
    world: World, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    # By default Claude Code waits for three minutes, and the task has four attempts.
    monkeypatch.setattr(
        "flows.agent.session.environment",
        lambda *arguments, **options: {
            **environment(*arguments, **options),
            "CLAUDE_CODE_RETRY_WATCHDOG_MAX_WAIT_MS": "500",
        },
    )
    monkeypatch.setattr(run_claude, "retry_delay_seconds", [0.1])
    steps = [Turn(f"Step {n}.", (Tool("Bash", {"command": f"echo {n} > step-{n}"}),)) for n in range(1, 5)]
    script = world.script(*steps, Turn("Done."))

    def overload() -> None:
        while len(world.stack.model.requests) < 3:
            time.sleep(0.01)
        script.faults.extend([ModelFault(529)] * 1000)

    thread = threading.Thread(target=overload)
    thread.start()
    refused_run = run(branch_name="the-branch", limits={"checkpoint_seconds": 600})
    thread.join()
    assert isinstance(refused_run.error, errors.ModelUnavailable)
    assert refused_run.run_count("claude") == 4
    assert len(script.faults) > 900, "Claude Code repeats the request without end"
    assert "the work so far is saved as" in str(refused_run.error)
    assert refused_run.saved_file("checkpoint-0").exists()
    world.git("fetch", "--quiet", str(refused_run.saved_file("change.bundle")), "the-branch:saved")
    assert world.content("saved", "step-2") == "2"


def test_an_agent_that_is_killed_is_resumed_in_its_session(world: World, run: Callable[..., Run]) -> None:
    turn = Turn("First.", (Tool("Bash", {"command": "echo once > count.txt"}),))
    world.script(turn, Turn("Second.", seconds=1.5))

    def kill_in_the_second_turn() -> None:
        while len(world.stack.model.requests) < 2:
            time.sleep(0.01)
        time.sleep(0.7)  # Claude Code records a turn a moment after its end
        [agent] = [p for p in psutil.Process().children() if p.name() == "claude"]
        agent.kill()

    thread = threading.Thread(target=kill_in_the_second_turn)
    thread.start()
    flow_run = run()
    thread.join()
    delivery = flow_run.delivered()
    assert flow_run.run_count("claude") == 2
    # There is one more request if Claude Code was killed before it recorded that its command had finished.
    assert len(world.stack.model.requests) in {3, 4}
    assert b"First." in world.stack.model.requests[2].body
    assert world.content(delivery.branch, "count.txt") == "once"


def test_a_change_is_saved_if_the_remote_refuses_the_push(world: World, run: Callable[..., Run]) -> None:
    hook = world.stack.git.root / f"{world.name}.git" / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'the sun does not shine' >&2\nexit 1\n")
    hook.chmod(0o755)
    refused_run = run(branch_name="feature/y")
    assert isinstance(refused_run.error, errors.PushRejected)
    assert "the sun does not shine" in str(refused_run.error)
    assert f"deliver pushes it later (flow_run_id={refused_run.id})" in str(refused_run.error)
    assert refused_run.run_count("push") == 1
    bundle = refused_run.saved_file("change.bundle")
    world.git("fetch", "--quiet", str(bundle), "feature/y:saved")
    assert world.content("saved", "hello.txt") == "hello"


def test_a_branch_that_moved_is_never_overwritten(world: World, run: Callable[..., Run]) -> None:
    first = run(branch_name="feature/z").delivered()
    tree = world.git("rev-parse", "main^{tree}")
    world.script(Turn("Slowly.", (Tool("Bash", {"command": "echo 2 > two"}),), seconds=1.5), Turn("Done."))

    def move() -> None:
        while not world.stack.model.requests:
            time.sleep(0.01)
        identity = ["-c", "user.name=o", "-c", "user.email=o@o"]
        world.git(
            "update-ref",
            "refs/heads/feature/z",
            world.git(*identity, "commit-tree", tree, "-p", first.commit, "-m", "o"),
        )

    thread = threading.Thread(target=move)
    thread.start()
    refused_run = run(branch_name="feature/z")
    thread.join()
    assert isinstance(refused_run.error, errors.BranchConflict)
    assert "change.bundle" in str(refused_run.error)
    ways = f"(flow_run_id={refused_run.id}, another branch_name or apply_to_latest=true)"
    assert f"deliver pushes it later {ways}" in str(refused_run.error)
    assert world.git("log", "-1", "--format=%an", "feature/z") == "o"


def test_a_limit_ends_the_run_with_a_named_error_and_the_work_is_saved(world: World, run: Callable[..., Run]) -> None:
    world.script(*(Turn("On.", (Tool("Bash", {"command": f"echo {i} > f{i}"}),)) for i in range(5)))
    refused_run = run(limits={"max_turns": 2})
    assert isinstance(refused_run.error, errors.TurnLimitReached)
    assert refused_run.saved_file("change.bundle").exists()
    assert world.branches() == {"main"}


def test_an_agent_that_works_too_long_is_ended(world: World, run: Callable[..., Run]) -> None:
    world.shell("echo begun > begun.txt; sleep 100")
    started = time.monotonic()
    refused_run = run(limits={"agent_timeout_seconds": 4})
    assert isinstance(refused_run.error, errors.AgentTimeout)
    assert time.monotonic() - started < 30
    assert "limits.agent_timeout_seconds" in str(refused_run.error)
    assert "change.bundle" in str(refused_run.error)
    assert refused_run.saved_file("change.bundle").exists()
    assert refused_run.saved_file("checkpoint-0").exists()


def test_an_agent_that_falls_silent_is_ended_and_resumed(world: World, run: Callable[..., Run]) -> None:
    leaves_a_process = "setsid sleep 300 >/dev/null 2>&1 & echo $! > pid; sleep 2"
    script = world.script(
        Turn("First.", (Tool("Bash", {"command": leaves_a_process}),)),
        Turn("Second.", (Tool("Bash", {"command": "echo 2 > two"}),)),
        Turn("Done."),
    )

    def silence_the_second_reply() -> None:
        while not world.stack.model.requests:
            time.sleep(0.05)
        script.faults.append(ModelFault(stall_seconds=60))

    threading.Thread(target=silence_the_second_reply, daemon=True).start()
    flow_run = run(limits={"stall_timeout_seconds": 5})
    delivery = flow_run.delivered()
    assert flow_run.run_count("claude") == 2
    assert world.content(delivery.branch, "two") == "2"
    assert is_over(int(world.content(delivery.branch, "pid")))


def is_over(pid: int) -> bool:
    """Whether a process has ended, also if its parent has not waited for it yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_child_process_that_keeps_the_agents_output_open_delays_nothing(
    world: World, run: Callable[..., Run]
) -> None:
    # The command leaves a process in the agent's process group that keeps the output open longer than a run can wait.
    world.shell("echo done > done.txt; (sleep 300 >/proc/$PPID/fd/1) & disown; echo $! > pid")
    started = time.monotonic()
    delivery = run().delivered()
    assert time.monotonic() - started < 60
    assert world.content(delivery.branch, "done.txt") == "done"
    assert is_over(int(world.content(delivery.branch, "pid")))


def test_processes_that_the_agent_leaves_running_are_ended(world: World, run: Callable[..., Run]) -> None:
    world.shell("setsid nohup sh -c 'sleep 300' >/dev/null 2>&1 & echo $! > pid.txt")
    delivery = run().delivered()
    assert is_over(int(world.content(delivery.branch, "pid.txt")))


def test_a_work_tree_without_its_repository_raises_a_named_error(world: World, run: Callable[..., Run]) -> None:
    world.shell('python3 -c \'import shutil; shutil.rmtree(".g" + "it")\'')
    assert isinstance(run().error, errors.AgentRepoInvalid)


def test_an_agent_that_was_denied_its_tools_does_not_count_as_nothing_to_change(run: Callable[..., Run]) -> None:
    refused_run = run(claude_settings={"permissions": {"defaultMode": "plan"}})
    assert isinstance(refused_run.error, errors.AgentDenied)
    assert "Write" in str(refused_run.error)
