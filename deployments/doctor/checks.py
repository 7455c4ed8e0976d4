"""The checks of the command `doctor`. Each check uses the same code and the same servers as a run."""

import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import httpx
from prefect.exceptions import ObjectNotFound

from deployments.cli.errors import Refused
from deployments.cli.prefect_api import api_url, prefect_api
from deployments.doctor.findings import Check, Skipped, Warned
from deployments.prefect import deployed
from deployments.runs.stores import open_store
from flows.agent.command import binary
from flows.aws.credentials import new_session
from flows.aws.session import client_config
from flows.certificates import ca_certificates
from flows.errors import AwsCredentialsMissing, ModelUnavailable, RunError
from flows.forges.pages import ForgePage
from flows.forges.reviews.selection import Rules
from flows.instructions.issue import check_issue
from flows.instructions.s3 import PARALLEL, from_s3
from flows.model.providers import RegisteredProvider
from flows.parameters.claude_code import ClaudeCodeOptions
from flows.parameters.implement import ImplementParameters
from flows.redaction import SECRETS
from flows.repository.credentials import UNBOUND, GitCredentials
from flows.repository.forge_apis import open_forge_api, open_issue_api
from flows.repository.remote import Remote
from flows.run.setup import load_claude_code, model_provider, run_store
from flows.sandbox.workspace import workspace
from flows.tasks.secret import credentials_for, stored_credentials
from flows.text_safety import one_line, sanitize

_PROBE = "doctor"
"""The name of the folder and of the file that the doctor writes to the run store, and deletes afterwards."""

_MODEL_SECONDS = 60


@dataclass
class Patient:
    """The run that the doctor checks: its validated parameters, and the values that several checks share."""

    request: ImplementParameters
    has_repository: bool
    """Whether the user named a repository. If not, `request.repo_url` is a placeholder."""

    @cached_property
    def credentials(self) -> GitCredentials:
        """The git credentials, read from the Prefect block or from AWS Secrets Manager."""
        credentials = stored_credentials(self.request)
        SECRETS.learn("the git token", credentials.token.get_secret_value())
        return credentials

    @cached_property
    def model(self) -> tuple[ClaudeCodeOptions, RegisteredProvider]:
        """The options of Claude Code for the run, and the provider of the model."""
        name = self.request.claude_code_block
        repo_url = self.request.repo_url if self.has_repository else None
        block = load_claude_code(name, repo_url) if name else None
        options = self.request.claude_code_options(block.options() if block else None)
        return options, model_provider(options, block)

    def checks(self) -> list[Check]:
        """Return the name and the function of each check, in the order in which a run needs the checked things."""
        return [
            ("Claude Code", self._claude_code),
            ("isolation of the agent", self._isolation),
            ("Prefect API", self._prefect_api),
            ("deployments", self._deployments),
            ("run store", self._run_store),
            ("AWS credentials", self._aws),
            ("git token", self._git_token),
            ("repository", self._repository),
            ("right to push", self._right_to_push),
            ("pull requests", self._pull_requests),
            ("instructions", self._instructions),
            ("model", self._model),
        ]

    def _claude_code(self) -> str:
        process = subprocess.run([binary(), "--version"], capture_output=True, text=True, timeout=60, check=True)
        return process.stdout.strip()

    def _isolation(self) -> str:
        with workspace() as directories:
            if reason := directories.agent.missing_isolation:
                raise Warned(f"{reason}. This affects only runs on this machine; in the image the agent is isolated")
        return "the agent would run as a separate user"

    def _prefect_api(self) -> str:
        with prefect_api() as prefect:
            return f"{api_url()}, version {prefect.api_version()}"

    def _deployments(self) -> str:
        _need_api()
        names = []
        with prefect_api() as prefect:
            for name in dict.fromkeys((*deployed.names(prefect), "implement/local")):
                with suppress(ObjectNotFound):
                    prefect.read_deployment_by_name(name)
                    names.append(name)
        if not names:
            raise Warned(
                "the server has no deployment: start `python -m deployments.local.serve`, or deploy to ECS with "
                "`python -m deployments up`"
            )
        return ", ".join(names)

    def _run_store(self) -> str:
        _need_api()  # the API stores the block; without a configured one Prefect would start a temporary server
        store, content = run_store(_PROBE).without_retries, b"written by python -m deployments doctor\n"
        store.save(_PROBE, content)
        if store.read(_PROBE) != content:
            raise RunError(f"{store.location(_PROBE)} does not contain what the doctor wrote to it")
        with suppress(Exception):  # deletion may not be allowed, and a run does not need it
            open_store("").delete(_PROBE)
        return store.location("").rstrip("/").removesuffix(f"/{_PROBE}")

    def _aws(self) -> str:
        session = new_session(self.request.aws_region)
        if session.get_credentials() is None:
            needs_aws = (
                self.request.provider == "bedrock"
                or not self.request.git_credentials_block
                or self.request.instructions_s3_uri is not None
            )
            if not needs_aws:
                raise Skipped("there are no AWS credentials, and a run with these parameters needs none")
            raise AwsCredentialsMissing(
                "there are no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        identity = session.client("sts", config=client_config()).get_caller_identity()
        return f"{identity['Arn']} in {self.request.aws_region}"

    def _git_token(self) -> str:
        source = self.request.git_credentials_block or self.request.git_credentials_secret_id
        app = f"GitHub App {self.credentials.app.app_id}, " if self.credentials.app else ""
        if not self.credentials.is_bound:
            raise Warned(f"{source}, {app}for {self.credentials.email}: {UNBOUND}")
        return f"{source}, {app}for {self.credentials.email}"

    def _repository(self) -> str:
        with tempfile.TemporaryDirectory(prefix="claude-code-headless-") as folder:
            refs = self._remote(Path(folder)).refs()
        default = refs.default_branch if refs.default_is_known else "not known"
        count = len(refs.branches)
        return f"{self.request.repo_url}: {count} branch{'es' if count != 1 else ''}, the default branch is {default}"

    def _right_to_push(self) -> str:
        with tempfile.TemporaryDirectory(prefix="claude-code-headless-") as folder:
            self._remote(Path(folder)).check_push()
        return "the token may push; a branch protection rule could still refuse a branch"

    def _pull_requests(self) -> str:
        request = self.request
        if not request.pull_request.is_wanted:
            raise Skipped("no pull request is asked for: add --set pull_request.pull_request=draft to check the API")
        with tempfile.TemporaryDirectory(prefix="claude-code-headless-") as folder:
            remote = self._remote(Path(folder))
            base = request.pull_request.pull_request_base or remote.refs().default_branch
        with open_forge_api(request, remote.credentials) as api:
            api.find(_PROBE, base)
        return f"{api.repository.api_url} accepts the token; only a run shows whether it may open a pull request"

    def _remote(self, trusted: Path) -> Remote:
        if not self.has_repository:
            raise Skipped("no repository is set: add --repo-url https://… to check one")
        try:
            return Remote(self.request.repo_url, credentials_for(self.request, self.credentials), trusted)
        except RunError as error:
            if "credentials" in self.__dict__:
                raise
            raise Skipped(f"there is no git token for this check: {type(error).__name__}") from None

    def _instructions(self) -> str:
        uri = self.request.instructions_s3_uri
        if page := self.request.issue:
            return self._issue(page)
        if uri is None:
            raise Skipped("no instructions in S3 and no issue are set: add --instructions s3://… to check them")
        client = new_session(self.request.aws_region).client("s3", config=client_config(PARALLEL))
        with workspace() as directories:
            instructions = from_s3(directories, client, uri)
        main = f"the main file is {instructions.main}" if instructions.main else "there is no main file"
        return f"{uri}: {len(instructions.files)} files, {main}"

    def _issue(self, page: ForgePage) -> str:
        credentials = credentials_for(self.request, self.credentials)
        with open_issue_api(self.request, credentials, page.repository) as api:
            issue = check_issue(api.issue(page.number), Rules(datetime.now(UTC)))
        title, count = one_line(sanitize(issue.title)), len(issue.comments)
        comments = f"{count} comment{'' if count == 1 else 's'}"
        return f"{issue.url}: {title!r}, {comments}, of which a run hears those of people who may push"

    def _model(self) -> str:
        options, provider = self.model
        path, headers, body = provider.smallest_request()
        url = f"{provider.base_url}{path}"
        signed = provider.signature("POST", url, "application/json", body)
        model = f"{options.model_id} by {options.provider}"
        try:
            response = httpx.post(
                url,
                content=body,
                headers={**headers, "content-type": "application/json", **signed},
                timeout=_MODEL_SECONDS,
                verify=ca_certificates(),
            )
        except httpx.HTTPError as error:
            raise ModelUnavailable(
                f"{provider.base_url} did not answer ({type(error).__name__}: {error}): check the network, HTTPS_PROXY "
                "and the region"
            ) from None
        if response.is_success:
            return f"{model} replied"
        raise RunError(f"{model} answered {response.status_code}: {_message(response)}")


def _need_api() -> None:
    try:
        api_url()
    except Refused:
        raise Skipped("this check needs a Prefect API, and none is configured") from None


def _message(response: httpx.Response) -> str:
    """Return the error message in a model provider's response.

    Bedrock puts the message at the top level of the JSON, Anthropic below `error`.
    """
    try:
        body = response.json()
    except ValueError:
        return response.text[:500]
    error = body.get("error", body) if isinstance(body, dict) else {}
    return str(error.get("message", "") or error.get("Message", "") or response.text)[:500]
