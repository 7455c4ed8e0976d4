"""The credentials for the push: the newest ones, or the earlier ones as long as they can be of use."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger
from pydantic import SecretStr

from blocks import GitCredentials as Block
from flows.errors import ForgeUnavailable
from flows.repository.clone import Checkout
from flows.repository.credentials import GitCredentials
from flows.sandbox.workspace import workspace
from flows.tasks.secret import newest_credentials
from tests.support.finished_run import open_run
from tests.support.forges.github_app import APP_FIELDS, AppServer, installation_token

EARLIER = GitCredentials(SecretStr("an-earlier-token"), "bot@example.com")


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(("minutes", "is_of_use"), [(50, True), (1, False), (-5, False)])
def test_the_token_of_an_app_is_not_used_after_its_end(tmp_path: Path, minutes: int, *, is_of_use: bool) -> None:
    earlier = replace(EARLIER, expires_at=datetime.now(UTC) + timedelta(minutes=minutes))
    with workspace() as directories, AppServer() as server, disable_run_logger():
        key = SecretStr(str(APP_FIELDS["private_key"]))
        Block(app_id="123456", private_key=key, installation_id="99").save("of-an-app", overwrite=True)
        parameters = {"repo_url": f"{server.url}/acme/widgets.git", "git_credentials_block": "of-an-app"}
        run = open_run(directories, tmp_path, Checkout("work", "main", "a" * 40), forge="github", **parameters)
        assert newest_credentials(run, earlier).token.get_secret_value() == installation_token()
        server.fault = (502, {})
        if is_of_use:
            assert newest_credentials(run, earlier) == earlier
        else:
            with pytest.raises(ForgeUnavailable):  # which the step repeats
                newest_credentials(run, earlier)
