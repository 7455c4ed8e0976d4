"""Reads from the git remote and pushes to it. Only this module gives the token to git.

A credential helper, which git starts as a child process, reads the token from a pipe. So the token is never on disk, on
a command line or in an environment variable. The helper answers for one scheme, host and port only (gitcredentials(7)
documents a helper's input and output). The helper is a script that git passes to a shell, so it also works in a
directory mounted `noexec`.
"""

import os
import re
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final
from urllib.parse import urljoin

from git import RemoteProgress

from flows.errors import (
    DISK_FULL,
    DiskFull,
    EmptyRepo,
    GitAuthFailed,
    GitFailed,
    PushRejected,
    RemoteUnavailable,
    RepoNotFound,
    RunError,
    UnsupportedObjectFormat,
)
from flows.forges.table import git_username
from flows.parameters.addresses import RepoUrl
from flows.repository.credentials import GitCredentials
from flows.repository.git_commands import command_line, execute_git, isolated_environment, run_git
from flows.repository.remote_refs import REF_PATTERNS, RemoteRefs, parse_refs
from flows.sandbox.processes import CommandResult

_TIMEOUT_SECONDS: Final = 1800
SILENCE_SECONDS: Final = 60
"""How long a connection may carry no data. A busy server sends data every few seconds (git-config(1): keepAlive)."""

_REDIRECT_SECONDS: Final = 10

_QUESTIONS: Final = 8
"""How often git may ask the helper for the password: once per connection, and a few more times to be safe."""

_HOST_NETWORK: Final = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY")
_HOST_CAS: Final = {"GIT_SSL_CAINFO": "SSL_CERT_FILE", "GIT_SSL_CAPATH": "SSL_CERT_DIR"}
"""git's variables for CA certificates, each with the variable that other programs read for the same purpose."""

_SHA_1_DIGITS: Final = 40

_REDIRECT: Final = r"unable to update url base from redirection|returned error: 30\d"
_SHA_256: Final = (
    "{url} names its commits by SHA-256, which runs do not support: convert the repository to SHA-1 "
    "(git fast-export and git fast-import), or do the work without a run"
)

_ERRORS: Final[tuple[tuple[str, type[RunError], str], ...]] = (
    # Rejections come first, because they quote the output of the remote's hooks, which could match any other pattern.
    (r"(?m)^!.*\[(remote )?rejected\]|remote unpack failed", PushRejected, "{url} refused the push: {reason}"),
    (
        r"Authentication failed|could not read (Username|Password)|HTTP Basic: Access denied|returned error: 401",
        GitAuthFailed,
        "{url} refused the token: check that it has not expired and may write to this repository; if need be, "
        "store a new one in the git credentials secret",
    ),
    (
        r"returned error: 403|Permission to .* denied|Write access to repository not granted",
        GitAuthFailed,
        "{url} denied access with this token: give the token read and write access to the repository's contents",
    ),
    (
        r"[Rr]epository '?.*'? not found|returned error: (404|410)|does not appear to be a git repository",
        RepoNotFound,
        "{url} is not a repository, or the token may not see it: check repo_url, and which repositories the token has "
        "access to",
    ),
    (
        _REDIRECT,
        RepoNotFound,
        "{url} redirects to another address, and the token is not sent there: set repo_url to that address",
    ),
    (
        r"mismatched algorithms|does not support this repository's hash algorithm|unknown object format",
        UnsupportedObjectFormat,
        _SHA_256,
    ),
    (
        r"Could not resolve host|Failed to connect|Connection (refused|reset|timed out)|early EOF|hung up|curl \d+|"
        r"RPC failed|returned error: (408|429|5\d\d)|timed out|unexpected disconnect|invalid index-pack|"
        r"Empty reply|expected flush|bad band|gnutls_handshake|SSL_ERROR|SSL_connect",
        RemoteUnavailable,
        "{url} did not respond like a git server: {reason}: check the address, the network and HTTPS_PROXY",
    ),
    (r"No space left on device|Disk quota exceeded", DiskFull, f"{DISK_FULL} ({{reason}})"),
)


@dataclass(frozen=True)
class Remote:
    """One repository on a git server, and the credentials for that repository.

    Raises:
        RepositoryNotAllowed: The binding of the credentials does not allow this repository.
    """

    url: RepoUrl
    credentials: GitCredentials
    trusted: Path
    """The directory into which the credential helper is written. The agent cannot read this directory."""

    def __post_init__(self) -> None:
        self.credentials.check_repository(self.url)

    @property
    def login(self) -> tuple[str, str]:
        """The user name and the token, which may be sent to the origin of `url` only."""
        token = self.credentials.token.get_secret_value()
        return self.credentials.username or git_username(self.url.url, token), token

    def refs(self) -> RemoteRefs:
        """Return the remote's branches and tags, and the default branch if the remote reports one.

        Raises:
            EmptyRepo: The remote has no branches.
            UnsupportedObjectFormat: The ids of the remote's commits are SHA-256.
        """
        refs = parse_refs(self._run(["ls-remote", "--symref", self.url.url, *REF_PATTERNS]).text)
        if not refs.branches:
            raise EmptyRepo(f"{self.url} has no commit: push a first commit; a README is enough")
        if any(len(commit) > _SHA_1_DIGITS for commit in refs.branches.values()):
            raise UnsupportedObjectFormat(_SHA_256.format(url=self.url))
        return refs

    def fetch(
        self, git_dir: Path, refspecs: Sequence[str], depth: int, progress: RemoteProgress, *, tags: bool = False
    ) -> None:
        """Fetch refs, each with `depth` commits of history, or with all if `depth` is 0.

        Args:
            git_dir: The repository to fetch into.
            refspecs: What to fetch, and the local refs to update.
            depth: How many commits of history to fetch; 0 fetches all.
            progress: Receives git's progress lines.
            tags: Whether to fetch the tags of the fetched commits as well.
        """
        try:
            self._fetch(git_dir, refspecs, depth, progress, tags=tags)
        except GitFailed:
            if not depth:
                raise
            # Servers without shallow clones, such as dumb HTTP, report different errors: fetch the whole history.
            self._fetch(git_dir, refspecs, 0, progress, tags=tags)

    def _fetch(
        self, git_dir: Path, refspecs: Sequence[str], depth: int, progress: RemoteProgress, *, tags: bool
    ) -> None:
        options = ["--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-gc", "--progress", "--stdin"]
        options += [*([f"--depth={depth}"] if depth else []), *([] if tags else ["--no-tags"])]
        with tempfile.TemporaryFile() as lines:
            lines.write("".join(f"{refspec}\n" for refspec in refspecs).encode())
            lines.seek(0)
            self._run(["fetch", *options, self.url.url], git_dir=git_dir, progress=progress, stdin=lines)

    def push(self, git_dir: Path, commit: str, branch: str) -> None:
        """Push one commit to one branch, never by force; succeed if the branch already has that commit."""
        refspec = f"{commit}:refs/heads/{branch}"
        try:
            self._run(["push", "--no-verify", "--porcelain", self.url.url, refspec], git_dir=git_dir)
        except RunError:
            # The push may have succeeded although its connection broke.
            if self.refs().branches.get(branch) != commit:
                raise

    def check_push(self) -> None:
        """Check that the token may push, without pushing; raise the error that a push would raise.

        A server checks the right to push before it receives any data. Rules for individual branches are not checked.
        """
        with tempfile.TemporaryDirectory(prefix="check-push-", dir=self.trusted) as folder:
            git_dir = Path(folder)
            run_git(["init", "--quiet", "--bare", "--template=", str(git_dir)])
            tree = run_git(["mktree"], git_dir=git_dir).text.strip()
            identity = ["user.name=check", "user.email=check@example.com"]
            commit = run_git(["commit-tree", "-m", "check", tree], config=identity, git_dir=git_dir).text.strip()
            refspec = f"{commit}:refs/heads/claude-code-headless-check"
            self._run(["push", "--dry-run", "--no-verify", "--porcelain", self.url.url, refspec], git_dir=git_dir)

    def _run(
        self,
        arguments: Sequence[str],
        *,
        git_dir: Path | None = None,
        progress: RemoteProgress | None = None,
        stdin: IO[bytes] | None = None,
    ) -> CommandResult:
        # Without unpackLimit, a small fetch would store every object as a file, each to be linked for the agent. With
        # proactiveAuth, a recent git does not send a first request without the token, which the server would refuse.
        config = [
            f"protocol.{self.url.url.partition(':')[0]}.allow=always",
            "fetch.unpackLimit=1",
            "http.proactiveAuth=basic",
            "http.lowSpeedLimit=1",
            f"http.lowSpeedTime={SILENCE_SECONDS}",
        ]
        with self._credential_helper() as (helper, token_fd):
            result = execute_git(
                command_line(arguments, config=[*config, f"credential.helper={helper}"], git_dir=git_dir),
                environment=isolated_environment(_host_settings()),
                stdin=stdin,
                progress=progress,
                pass_fds=[token_fd],
                timeout_seconds=_TIMEOUT_SECONDS,
            )
        if result.status != 0:
            raise self._error(result)
        return result

    def _redirect_target(self) -> str:
        """Return the repository URL that the server redirects to; empty if the server redirects to no git repository.

        The request sends the token to the server of `url`, as git has just done, but never to the new address.
        """
        import httpx  # noqa: PLC0415 (only a redirect needs it)

        from flows.certificates import ca_certificates  # noqa: PLC0415

        suffix = "/info/refs?service=git-upload-pack"
        with suppress(httpx.HTTPError, httpx.InvalidURL, OSError):
            response = httpx.get(
                self.url.url + suffix,
                auth=self.login,
                timeout=_REDIRECT_SECONDS,
                verify=ca_certificates(),
            )
            target = urljoin(self.url.url, str(response.headers.get("location", "")))
            if target.endswith(suffix) and "@" not in target:
                return str(target).removesuffix(suffix)
        return ""

    @contextmanager
    def _credential_helper(self) -> Iterator[tuple[str, int]]:
        """Yield a value for git's `credential.helper`, and the file descriptor that the helper reads the token from."""
        username, token = self.login
        read_end, write_end = os.pipe()
        try:
            os.write(write_end, f"{token}\n".encode() * _QUESTIONS)
            os.close(write_end)
            with tempfile.NamedTemporaryFile("w", prefix="credential-helper-", dir=self.trusted) as script:
                script.write(_helper_script(self.url.origin, username, read_end))
                script.flush()
                yield f"!sh {shlex.quote(script.name)}", read_end
        finally:
            os.close(read_end)

    def _error(self, result: CommandResult) -> RunError:
        output = f"{result.stderr}\n{result.text}".replace(self.credentials.token.get_secret_value(), "***").strip()
        reason = "; ".join(line for line in output.splitlines() if re.match(r"fatal|error|remote|!", line)) or output
        for pattern, error, message in _ERRORS:
            if re.search(pattern, output):
                if pattern == _REDIRECT and (target := self._redirect_target()):
                    return RepoNotFound(f"{self.url} has moved to {target}: set repo_url to that address")
                return error(message.format(url=self.url, reason=reason))
        return GitFailed(f"git failed on {self.url} with status {result.status}: {reason or 'no output'}")


def _host_settings() -> dict[str, str]:
    """Return git's environment variables for the proxies and CA certificates of this machine."""
    host = {name: os.environ[name] for name in _HOST_NETWORK if name in os.environ}
    cas = {name: os.environ.get(name) or os.environ.get(general, "") for name, general in _HOST_CAS.items()}
    return {**host, **{name: path for name, path in cas.items() if path}}


def _helper_script(origin: str, username: str, token_fd: int) -> str:
    scheme, _, host = origin.partition("://")
    return f"""[ "$1" = get ] || exit 0
while IFS='=' read -r name value && [ -n "$name" ]; do
  case "$name" in
    protocol) protocol=$value ;;
    host) host=$value ;;
  esac
done
if [ "$protocol" = '{scheme}' ] && [ "$host" = '{host}' ]; then
  IFS= read -r token </dev/fd/{token_fd} && printf 'username={username}\\npassword=%s\\n' "$token"
fi
"""
