"""Many small objects of one bucket, each for half of the processor time that a call of botocore takes.

The first object is asked for as usual, and botocore is overheard: the address that it resolved, and what signs for it.
The others are signed by that and fetched by its HTTP session. Whatever is not a whole object at once (an error, a
redirect, a broken connection, a proxy's certificate) is asked for again as usual, with all that botocore knows of it.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Final

from flows.authorities import SharedContext
from flows.aws.session import CONNECT_SECONDS, READ_SECONDS

if TYPE_CHECKING:
    from botocore.httpsession import URLLib3Session
    from mypy_boto3_s3 import S3Client

_EVENT: Final = "before-sign.s3.GetObject"
_FOUND: Final = 200
_CHUNK_BYTES: Final = 2**20
_SMALL_BYTES: Final = 2**20
"""So many, times the threads, are in memory at once."""


@dataclass(frozen=True)
class S3Object:
    """One object: its size in bytes, what names this version of it, and its bytes, to be read once."""

    size: int
    etag: str
    version_id: str
    chunks: Iterator[bytes]


class S3Objects:
    """The objects of a bucket, for as many threads as the client has connections."""

    def __init__(self, client: "S3Client", bucket: str, connections: int) -> None:
        self._client, self._bucket, self._connections = client, bucket, connections
        self._overheard: dict[str, Any] = {}
        self._address = ""

    def learn(self, key: str) -> None:
        """Ask for one of many objects as usual, and know from then on how the others are asked for."""
        events = self._client.meta.events
        events.register(_EVENT, self._overhear)
        try:
            self._client.get_object(Bucket=self._bucket, Key=key)["Body"].close()
        finally:
            events.unregister(_EVENT, self._overhear)
        self._open(key)

    def get(self, key: str, size: int) -> S3Object:
        """Return an object whose listing gave this size; raise what botocore raises."""
        if self._address and size <= _SMALL_BYTES and (found := self._get_at_once(key)):
            return found
        answer = self._client.get_object(Bucket=self._bucket, Key=key)
        chunks = answer["Body"].iter_chunks(_CHUNK_BYTES)
        return S3Object(answer["ContentLength"], answer["ETag"].strip('"'), answer.get("VersionId", ""), chunks)

    def _overhear(self, **what: Any) -> None:  # noqa: ANN401 (botocore's own)
        self._overheard = what

    def _open(self, key: str) -> None:
        from botocore.utils import get_environ_proxies, percent_encode  # noqa: PLC0415 (whoever has a client has it)

        url, end = str(self._overheard["request"].url), percent_encode(key, safe="/~")
        if url.endswith(f"/{end}"):
            self._address = url.removesuffix(end)
            self._http = _session()(
                verify=os.environ.get("AWS_CA_BUNDLE") or True,  # type: ignore[arg-type]  # a path as well
                proxies=get_environ_proxies(url),
                timeout=(CONNECT_SECONDS, READ_SECONDS),  # type: ignore[arg-type]  # or both, as here
                max_pool_connections=self._connections,
            )

    def _get_at_once(self, key: str) -> S3Object | None:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415

        try:
            answer = self._http.send(self._signed(key))
            content = answer.content
        except (BotoCoreError, OSError):
            return None
        headers = answer.headers
        if answer.status_code != _FOUND or headers.get("content-length") != str(len(content)):
            return None
        etag = str(headers.get("etag", "")).strip('"')
        return S3Object(len(content), etag, headers.get("x-amz-version-id", ""), iter([content]))

    def _signed(self, key: str) -> Any:  # noqa: ANN401 (botocore's own)
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415
        from botocore.utils import percent_encode  # noqa: PLC0415

        request = AWSRequest("GET", self._address + percent_encode(key, safe="/~"))
        names = ("signing_name", "region_name", "signature_version")
        # A new one each time: the credentials of a role are renewed while thousands of objects are fetched.
        auth = self._overheard["request_signer"].get_auth_instance(*(self._overheard[name] for name in names))
        auth.add_auth(request)
        return request.prepare()


@cache
def _session() -> type["URLLib3Session"]:
    """Return botocore's class, less that each new connection loads the authorities anew."""
    from botocore.httpsession import URLLib3Session  # noqa: PLC0415

    class Session(URLLib3Session):
        def _get_ssl_context(self) -> SSLContext:
            return SharedContext.of(super()._get_ssl_context())  # type: ignore[misc]  # the stubs have what is public

    return Session
