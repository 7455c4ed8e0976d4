"""The command makes, changes and removes the automations, and says what it does."""

import subprocess
import sys

import pytest
from prefect.client.orchestration import get_client
from prefect.events.schemas.automations import Automation

from deployments.prefect.automations.installed import FOLDER, names
from tests.support.commands import Give
from tests.support.receiver import Receiver


def there() -> dict[str, Automation]:
    with get_client(sync_client=True) as client:
        return {one.name: one for one in client.read_automations() if one.name in names()}


def test_it_makes_them_once_and_again_finds_nothing_to_change(give: Give, receiver: Receiver) -> None:
    given = ("--webhook", f"{receiver.url}/told")
    assert give(*given, "--dry-run").count("would create") == 4
    assert not there()
    assert give(*given).count("create") == 7
    assert set(there()) == set(names())
    assert give(*given) == "nothing to change\n"
    assert give() == "nothing to change\n"
    assert give("--remove").count("delete") == 7
    assert give("--remove") == "nothing to change\n"
    assert not there()


def test_it_changes_what_differs_and_leaves_paused_what_somebody_paused(give: Give) -> None:
    give()
    again, lost = names()[1], names()[0]
    with get_client(sync_client=True) as client:
        client.pause_automation(there()[again].id)
    assert give("--max-runs", "2") == f"update automation '{again}'\n"
    assert not there()[again].enabled
    assert give("--max-runs", "2", "--silence-seconds", "120") == f"update automation '{lost}'\n"
    assert there()[lost].enabled
    assert give("--remove").count("delete") == 3


def test_a_webhooks_address_is_shown_nowhere(give: Give) -> None:
    said = give("--webhook", "-", stdin="https://hooks.example.com/very-secret\n")
    assert "create block webhook/claude-code-headless" in said
    changed = give("--webhook", "-", stdin="https://hooks.example.com/another-secret\n")
    assert changed == "update block webhook/claude-code-headless\n"
    assert "secret" not in said + give("--remove")


@pytest.mark.parametrize("block", ["slack-webhook/none", "s3-bucket/claude", "nonsense"])
def test_a_block_that_is_not_there_is_named(give: Give, block: str) -> None:
    assert f"NotificationBlockUnknown: there is no block {block}" in give("--block", block, status=1)
    give("--remove")


def test_a_block_that_cannot_be_notified_is_refused_and_one_that_can_is_taken(give: Give) -> None:
    from prefect.blocks.notifications import SlackWebhook  # noqa: PLC0415
    from prefect.blocks.system import Secret  # noqa: PLC0415

    Secret(value="x").save("no-receiver", overwrite=True)
    assert "cannot be notified" in give("--block", "secret/no-receiver", status=1)
    SlackWebhook(url="https://hooks.slack.com/services/a/b/c").save("team", overwrite=True)
    assert give("--block", "slack-webhook/team").count("create") == 6
    assert {action.type for one in there().values() for action in one.actions} == {
        "change-flow-run-state",
        "send-notification",
    }
    give("--remove")


def test_without_a_prefect_api_it_says_so(give: Give) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings  # noqa: PLC0415

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        assert "does not answer" in give(status=1)


@pytest.mark.parametrize("file", ["crash-detection", "run-again", "cancellation"])
def test_prefect_itself_reads_the_files(give: Give, file: str) -> None:
    command = [sys.executable, "-m", "prefect", "automation", "create", "--from-file", str(FOLDER / f"{file}.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing to change" not in give()  # the other one was missing
    assert give() == "nothing to change\n"
    give("--remove")
