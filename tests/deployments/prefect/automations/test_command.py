"""The command `automations`: it creates, updates and removes the automations, and prints its changes."""

import subprocess
import sys

import pytest
from prefect.client.orchestration import get_client
from prefect.events.schemas.automations import Automation

from deployments.prefect.automations.installed import FOLDER, names
from flows.outcome.result import Outcome
from tests.support.commands import SetUpCommand
from tests.support.receiver import Receiver


def installed_automations() -> dict[str, Automation]:
    with get_client(sync_client=True) as client:
        return {automation.name: automation for automation in client.read_automations() if automation.name in names()}


def test_the_command_creates_the_automations_once_and_then_changes_nothing(
    run_command: SetUpCommand, receiver: Receiver
) -> None:
    arguments = ("--webhook", f"{receiver.url}/notifications")
    assert run_command(*arguments, "--dry-run").count("would create") == 4
    assert not installed_automations()
    assert run_command(*arguments).count("create") == 7
    assert set(installed_automations()) == set(names())
    assert run_command(*arguments) == "nothing to change\n"
    assert run_command() == "nothing to change\n"
    assert run_command("--remove").count("delete") == 7
    assert run_command("--remove") == "nothing to change\n"
    assert not installed_automations()


def test_every_end_of_a_run_is_told_by_one_notification(run_command: SetUpCommand, receiver: Receiver) -> None:
    run_command("--webhook", f"{receiver.url}/notifications")
    triggers = [automation.trigger for automation in installed_automations().values()]
    run_command("--remove")
    told = sorted(name for trigger in triggers for name in getattr(trigger, "expect", ()) if "claude-code.run." in name)
    # A person stopped an interrupted run, and no run was started if it is invalid.
    assert told == sorted(each.event for each in Outcome if each not in {Outcome.INTERRUPTED, Outcome.INVALID})


def test_the_command_updates_only_what_differs_and_keeps_paused_automations_paused(run_command: SetUpCommand) -> None:
    run_command()
    run_again, crash_detection = names()[1], names()[0]
    with get_client(sync_client=True) as client:
        client.pause_automation(installed_automations()[run_again].id)
    assert run_command("--max-runs", "2") == f"update automation '{run_again}'\n"
    assert not installed_automations()[run_again].enabled
    assert run_command("--max-runs", "2", "--silence-seconds", "120") == f"update automation '{crash_detection}'\n"
    assert installed_automations()[crash_detection].enabled
    assert run_command("--remove").count("delete") == 3


def test_the_url_of_a_webhook_is_never_shown(run_command: SetUpCommand) -> None:
    output = run_command("--webhook", "-", stdin="https://hooks.example.com/very-secret\n")
    assert "create block webhook/claude-code-headless" in output
    changed = run_command("--webhook", "-", stdin="https://hooks.example.com/another-secret\n")
    assert changed == "update block webhook/claude-code-headless\n"
    assert "secret" not in output + run_command("--remove")


@pytest.mark.parametrize("block", ["slack-webhook/none", "s3-bucket/claude", "nonsense"])
def test_a_block_that_does_not_exist_is_named(run_command: SetUpCommand, block: str) -> None:
    assert f"NotificationBlockUnknown: there is no block {block}" in run_command("--block", block, status=1)
    run_command("--remove")


def test_only_a_block_that_can_receive_notifications_is_accepted(run_command: SetUpCommand) -> None:
    from prefect.blocks.notifications import SlackWebhook  # noqa: PLC0415
    from prefect.blocks.system import Secret  # noqa: PLC0415

    Secret(value="x").save("no-receiver", overwrite=True)
    assert "cannot receive notifications" in run_command("--block", "secret/no-receiver", status=1)
    SlackWebhook(url="https://hooks.slack.com/services/a/b/c").save("team", overwrite=True)
    assert run_command("--block", "slack-webhook/team").count("create") == 6
    assert {action.type for automation in installed_automations().values() for action in automation.actions} == {
        "change-flow-run-state",
        "send-notification",
    }
    run_command("--remove")


def test_a_prefect_api_that_does_not_answer_is_reported(run_command: SetUpCommand) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings  # noqa: PLC0415

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        assert "does not answer" in run_command(status=1)


@pytest.mark.parametrize("file", ["crash-detection", "run-again", "cancellation"])
def test_prefects_own_command_line_reads_the_files(run_command: SetUpCommand, file: str) -> None:
    command = [sys.executable, "-m", "prefect", "automation", "create", "--from-file", str(FOLDER / f"{file}.yaml")]
    completed_process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed_process.returncode == 0, completed_process.stdout + completed_process.stderr
    assert "nothing to change" not in run_command()  # the other automations were missing
    assert run_command() == "nothing to change\n"
    run_command("--remove")
