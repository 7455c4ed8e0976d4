"""Starts and stops the local stack of servers: S3, Secrets Manager, git, a scripted model and Prefect."""

import json
import logging
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import boto3

from deployments.local.git_remote import GitRemote
from deployments.local.prefect_server import client_environment, free_port, prefect_server
from deployments.local.scripted_model import ScriptedModel
from flows.parameters.shared import DEFAULT_REGION, DEFAULT_SECRET_ID

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# These credentials are valid only on this stack. The secret ones are generated, so that no file contains them.
GIT_TOKEN: Final = f"local-git-token-{secrets.token_hex(6)}"
GIT_EMAIL: Final = "claude-bot@example.com"
API_KEY: Final = f"local-anthropic-key-{secrets.token_hex(4)}"
AWS_ACCESS_KEY_ID: Final = "LOCALACCESSKEYID0001"
AWS_SECRET_ACCESS_KEY: Final = f"local-secret-access-key-{secrets.token_hex(4)}"
BUCKET: Final = "claude-instructions"


@dataclass(frozen=True)
class LocalStack:
    """The running local servers, and the addresses at which clients reach them."""

    home: Path
    aws_url: str
    prefect_api_url: str
    git: GitRemote
    model: ScriptedModel

    def environment(self, *, real_model: bool = False) -> dict[str, str]:
        """Return environment variables with which a flow uses only this stack's servers and credentials.

        With `real_model`, the flow uses the model and the credentials of the user's own environment.
        """
        storage = {"AWS_ENDPOINT_URL_S3": self.aws_url, "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.aws_url}
        model = {
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": self.model.url,
            "ANTHROPIC_BASE_URL": self.model.url,
            "ANTHROPIC_API_KEY": API_KEY,
            "AWS_ACCESS_KEY_ID": AWS_ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": AWS_SECRET_ACCESS_KEY,
            "AWS_DEFAULT_REGION": DEFAULT_REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
        }
        return {
            **client_environment(self.prefect_api_url, self.home / "prefect-client"),
            **storage,
            **({} if real_model else model),
        }

    def s3(self) -> "S3Client":
        """Return a client for the local S3 server."""
        return _session().client("s3", endpoint_url=self.aws_url)

    def put_secret(self, value: str, name: str = DEFAULT_SECRET_ID) -> str:
        """Create a secret, or change the value of an existing secret; return the secret's ARN."""
        client = _session().client("secretsmanager", endpoint_url=self.aws_url)
        try:
            return client.create_secret(Name=name, SecretString=value)["ARN"]
        except client.exceptions.ResourceExistsException:
            return client.put_secret_value(SecretId=name, SecretString=value)["ARN"]

    def upload(self, folder: Path, prefix: str) -> str:
        """Upload all files of a folder to the local S3 bucket; return an S3 URI that selects all of them."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.s3().upload_file(str(path), BUCKET, f"{prefix}/{path.relative_to(folder).as_posix()}")
        return f"s3://{BUCKET}/{prefix}/*"


def _session() -> boto3.Session:
    return boto3.Session(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, region_name=DEFAULT_REGION)


@contextmanager
def _aws() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 (it takes 1.5 s, while Prefect starts)

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def local_stack(prefect_port: int = 0, prefect_settings: Mapping[str, str] | None = None) -> Iterator[LocalStack]:
    """Start all local servers, create the bucket and the git secret, and yield the stack; remove everything afterwards.

    Args:
        prefect_port: The port of the Prefect server; 0 selects a free port.
        prefect_settings: Further settings of the Prefect server, as environment variables.
    """
    with ExitStack() as contexts:
        home = Path(contexts.enter_context(tempfile.TemporaryDirectory(prefix="claude-code-headless-stack-")))
        home.chmod(0o711)  # the agents' users must reach the directories of their runs below it
        with ThreadPoolExecutor() as pool:
            server = prefect_server(home / "prefect-server", prefect_port or free_port(), prefect_settings)
            prefect = pool.submit(contexts.enter_context, server)
            aws = pool.submit(contexts.enter_context, _aws())
            (home / "git").mkdir(mode=0o700)
            git = contexts.enter_context(GitRemote(home / "git", GIT_TOKEN))
            model = contexts.enter_context(ScriptedModel(API_KEY, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY))
        stack = LocalStack(home, aws.result(), prefect.result(), git, model)
        stack.s3().create_bucket(Bucket=BUCKET)
        stack.s3().put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        stack.put_secret(json.dumps({"token": GIT_TOKEN, "email": GIT_EMAIL}))
        yield stack
