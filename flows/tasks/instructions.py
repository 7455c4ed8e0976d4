"""instructions: from S3 or the parameter, to read-only files beside the work tree."""

from prefect import get_run_logger

from flows.aws.session import client_config, new_session
from flows.instructions.files import PARALLEL, Instructions, from_s3, from_text
from flows.parameters.implement import ImplementParameters
from flows.sandbox.workspace import Workspace
from flows.tasks.task import step


@step("instructions")
def fetch_instructions(request: ImplementParameters, workspace: Workspace) -> Instructions:
    """Return the files, and which of them to begin with."""
    if request.instructions_s3_uri is None:
        return from_text(workspace, request.instructions)
    client = new_session(request.aws_region).client("s3", config=client_config(PARALLEL))
    found = from_s3(workspace, client, request.instructions_s3_uri)
    logger = get_run_logger()
    count = f"{len(found.files)} file{'s' if len(found.files) != 1 else ''}"
    logger.info("%s: %s, begins with %s", found.source, count, found.main or "none in particular")
    for file in found.files:
        logger.debug("%s: %d bytes, ETag %s, version %s", file.path, file.size, file.etag, file.version_id or "none")
    return found
