"""The git remote: who receives the token, which errors its responses become, and what happens to pushes."""

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme
from git import RemoteProgress
from pydantic import SecretStr

from deployments.local.git_remote import GitFault, GitRemote
from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest
from flows import errors
from flows.parameters.addresses import RepoUrl
from flows.repository.credentials import GitCredentials
from flows.repository.git_commands import isolated_environment, run_git
from flows.repository.remote import Remote
from tests.support.tls import by_tls

TOKEN = "the-token-of-this-test"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitRemote]:
    (tmp_path / "served").mkdir()
    (tmp_path / "seed").mkdir()
    (tmp_path / "seed" / "a").write_text("a\n")
    with GitRemote(tmp_path / "served", TOKEN) as git_remote:
        git_remote.create("r", tmp_path / "seed")
        yield git_remote


def remote(url: str, tmp_path: Path, token: str = TOKEN) -> Remote:
    return Remote(RepoUrl.parse(url), GitCredentials(SecretStr(token), "bot@example.com"), tmp_path)


@pytest.fixture
def r(server: GitRemote, tmp_path: Path) -> Remote:
    return remote(f"{server.url}/r.git", tmp_path)


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    path = tmp_path / "clean.git"
    run_git(["init", "--quiet", "--bare", str(path)])
    return path


def fetch_main(r: Remote, clean: Path, depth: int = 0) -> str:
    r.fetch(clean, ["+refs/heads/main:refs/remotes/origin/main"], depth, RemoteProgress())
    return run_git(["rev-parse", "refs/remotes/origin/main"], git_dir=clean).text


def commit_on(clean: Path, parent: str, message: str = "next") -> str:
    identity = {f"GIT_{role}_{key}": "t@t" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    arguments = ["commit-tree", f"{parent}^{{tree}}", "-p", parent, "-m", message]
    environment = isolated_environment(
        {**identity, "GIT_AUTHOR_DATE": "@1700000000 +0000", "GIT_COMMITTER_DATE": "@1700000000 +0000"}
    )
    return run_git(arguments, git_dir=clean, environment=environment).text


def test_refs_are_the_branches_and_the_default_branch(r: Remote, server: GitRemote) -> None:
    server.git("r", "branch", "feature/x", "main")
    refs = r.refs()
    assert refs.default_branch == "main"
    assert refs.branches == {"main": server.git("r", "rev-parse", "main"), "feature/x": refs.branches["main"]}


def test_fetching_gets_the_requested_depth(r: Remote, server: GitRemote, clean: Path) -> None:
    head = server.git("r", "rev-parse", "main")
    for number in range(5):
        head = commit_on(server.root / "r.git", head, str(number))
    server.git("r", "update-ref", "refs/heads/main", head)
    fetch_main(r, clean, depth=2)
    count = run_git(["rev-list", "--count", "refs/remotes/origin/main"], git_dir=clean).text
    assert count == "2"
    fetch_main(r, clean)


class DumbServer(LoopbackServer):
    """A git server of plain files ("dumb HTTP"), which cannot make a shallow clone."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        path = self.root / request.path.partition("?")[0].lstrip("/")
        if path.is_file():
            exchange.reply(200, path.read_bytes(), {"content-type": "text/plain"})
        else:
            exchange.reply(404, b"")


def test_the_whole_history_is_fetched_if_the_server_refuses_shallow_clones(
    server: GitRemote, clean: Path, tmp_path: Path
) -> None:
    server.git("r", "update-server-info")
    with DumbServer(server.root) as dumb:
        head = fetch_main(remote(f"{dumb.url}/r.git", tmp_path), clean, depth=1)
    assert head == server.git("r", "rev-parse", "main")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (GitFault("info/refs", 401), errors.GitAuthFailed),
        (GitFault("info/refs", 403), errors.GitAuthFailed),
        (GitFault("info/refs", 404), errors.RepoNotFound),
        (GitFault("info/refs", 500), errors.RemoteUnavailable),
        (GitFault("info/refs", 503), errors.RemoteUnavailable),
        (GitFault("info/refs", 429), errors.RemoteUnavailable),
        (GitFault("info/refs"), errors.RemoteUnavailable),
    ],
)
def test_the_remotes_failures_become_named_errors(
    server: GitRemote, r: Remote, fault: GitFault, error: type[errors.RunError]
) -> None:
    server.faults.extend([fault] * 2)
    with pytest.raises(error) as raised:
        r.refs()
    assert r.url.url in str(raised.value)
    assert TOKEN not in str(raised.value)


def test_a_wrong_token_is_refused_and_not_quoted(server: GitRemote, tmp_path: Path) -> None:
    with pytest.raises(errors.GitAuthFailed) as raised:
        remote(f"{server.url}/r.git", tmp_path, token="a-wrong-token").refs()
    assert "a-wrong-token" not in str(raised.value)


def test_a_port_without_a_server_is_an_unavailable_remote(tmp_path: Path) -> None:
    with pytest.raises(errors.RemoteUnavailable):
        remote("http://127.0.0.1:9/r.git", tmp_path).refs()


class Redirect(LoopbackServer):
    """Redirects every request to another server."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        exchange.reply(302, b"", {"location": self.target + request.path})


def test_a_redirect_is_not_followed_and_gets_no_token(server: GitRemote, tmp_path: Path) -> None:
    with Redirect(server.url) as redirect:
        with pytest.raises(errors.RepoNotFound):
            remote(f"{redirect.url}/r.git", tmp_path).refs()
        assert server.requests == []


def ask(helper: str, descriptor: int, question: str) -> str:
    """Return what a credential helper answers; git runs it with the word `get`, in a shell."""
    completed_process = subprocess.run(
        ["sh", "-c", f"{helper.removeprefix('!')} get"],
        input=question,
        check=False,
        capture_output=True,
        text=True,
        pass_fds=[descriptor],
    )
    return completed_process.stdout.strip()


def test_the_credential_helper_answers_for_its_own_server_only(r: Remote) -> None:
    scheme, _, host = r.url.origin.partition("://")
    with r._credential_helper() as (helper, descriptor):
        own = f'protocol={scheme}\nhost={host}\nwwwauth[]=Basic realm="git"\n\n'
        assert ask(helper, descriptor, own) == f"username=x-access-token\npassword={TOKEN}"
        for other in ((scheme, "example.com"), (scheme, f"{host}0"), ("https", host), ("", host), (scheme, "")):
            assert ask(helper, descriptor, "protocol={}\nhost={}\n\n".format(*other)) == ""
        assert ask(helper, descriptor, own) != ""


def test_the_token_is_neither_on_disk_nor_in_the_configuration(r: Remote) -> None:
    with r._credential_helper() as (helper, _):
        assert TOKEN not in helper
        assert TOKEN not in Path(helper.split()[-1]).read_text()
    assert not list(r.trusted.glob("credential-helper-*"))


def test_remotes_can_be_used_at_the_same_time(r: Remote, clean: Path) -> None:
    with ThreadPoolExecutor() as pool:
        reads = [pool.submit(r.refs) for _ in range(4)]
        checks = [pool.submit(r.check_push) for _ in range(4)]
        fetch_main(r, clean)
        assert {read.result().default_branch for read in reads} == {"main"}
        assert [check.result() for check in checks] == [None] * 4


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
def test_the_token_reaches_git_from_a_directory_without_the_right_to_execute(server: GitRemote, tmp_path: Path) -> None:
    folder = tmp_path / "noexec"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "noexec", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mount.returncode != 0:
        pytest.skip("this machine does not let root mount a file system")
    try:
        assert remote(f"{server.url}/r.git", folder).refs().default_branch == "main"
    finally:
        subprocess.run(["umount", str(folder)], check=True)


class Moved(LoopbackServer):
    """Redirects requests below one path to another path of the same server or of another one."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        rest = request.path.partition("/info/refs")
        exchange.reply(
            301, b"", {"location": f"{self.target}{rest[1]}{rest[2]}" if "sign_in" not in self.target else self.target}
        )


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("/group/project.git", "{server}/group/project.git"),
        ("{server}/new-owner/repo", "{server}/new-owner/repo"),
        ("https://git.example.com/o/r.git", "https://git.example.com/o/r.git"),
        ("//git.example.com/o/r", "http://git.example.com/o/r"),
    ],
)
def test_a_redirect_is_refused_with_the_address_to_use(target: str, address: str, tmp_path: Path) -> None:
    with Moved(target) as moved:
        moved.target = target.replace("{server}", moved.url)
        with pytest.raises(errors.RepoNotFound) as raised:
            remote(f"{moved.url}/group/project", tmp_path).refs()
        assert f"has moved to {address.replace('{server}', moved.url)}: set repo_url" in str(raised.value)
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize("target", ["/users/sign_in", "https://login.example.com/sign_in?x=1"])
def test_a_redirect_to_a_page_is_refused_without_an_address_to_use(target: str, tmp_path: Path) -> None:
    with Moved(target) as moved, pytest.raises(errors.RepoNotFound, match="redirects to another address"):
        remote(f"{moved.url}/group/project", tmp_path).refs()


def test_a_repository_with_sha_256_has_a_named_error(server: GitRemote, tmp_path: Path) -> None:
    bare = server.root / "sha256.git"
    server.git("sha256", "init", "--quiet", "--bare", "--object-format=sha256", "--initial-branch=main", str(bare),
               in_repository=False)  # fmt: skip
    tree = server.git("sha256", "mktree")
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    server.git(
        "sha256", "update-ref", "refs/heads/main", server.git("sha256", *identity, "commit-tree", tree, "-m", "x")
    )
    with pytest.raises(errors.UnsupportedObjectFormat, match="SHA-256"):
        remote(f"{server.url}/sha256.git", tmp_path).refs()


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "GIT_SSL_CAINFO"])
def test_git_trusts_the_hosts_own_ca(
    variable: str, server: GitRemote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    secure = GitRemote(server.root, TOKEN)
    with by_tls(secure, authority) as url:
        with pytest.raises(errors.RunError):
            remote(f"{url}/r.git", tmp_path).refs()
        monkeypatch.setenv(variable, str(tmp_path / "ca.pem"))
        assert remote(f"{url}/r.git", tmp_path).refs().default_branch == "main"


def test_pushing_the_same_commit_again_is_a_success(r: Remote, server: GitRemote, clean: Path) -> None:
    commit = commit_on(clean, fetch_main(r, clean))
    r.push(clean, commit, "new")
    r.push(clean, commit, "new")
    assert server.git("r", "rev-parse", "new") == commit


def test_a_push_that_arrived_before_its_connection_broke_is_a_success(
    r: Remote, server: GitRemote, clean: Path
) -> None:
    commit = commit_on(clean, fetch_main(r, clean))
    server.git("r", "update-ref", "refs/heads/new", server.git("r", "rev-parse", "main"))
    hook = server.root / "r.git" / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    # The ref has already moved when this hook runs; the client never gets a response.
    hook.write_text("#!/bin/sh\nkill -9 $(ps -o ppid= -p $PPID)\n")
    hook.chmod(0o755)
    r.push(clean, commit, "new")
    assert server.git("r", "rev-parse", "new") == commit


def test_a_push_never_moves_a_branch_except_forward(r: Remote, server: GitRemote, clean: Path) -> None:
    base = fetch_main(r, clean)
    first, second = commit_on(clean, base, "first"), commit_on(clean, base, "second")
    r.push(clean, first, "new")
    with pytest.raises(errors.PushRejected):
        r.push(clean, second, "new")
    assert server.git("r", "rev-parse", "new") == first


def test_the_users_own_git_settings_are_not_read(r: Remote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(f'[url "http://127.0.0.1:9/"]\n insteadOf = {r.url.origin}/\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    assert r.refs().default_branch == "main"


def test_a_remote_cannot_be_created_for_a_repository_that_the_token_is_not_for(
    server: GitRemote, tmp_path: Path
) -> None:
    """So a first run, a resumed run and a delivery cannot forget the check."""
    bound = GitCredentials.from_fields({"token": TOKEN, "email": "a@b.c", "hosts": ["github.com"]}, "the secret")
    with pytest.raises(errors.RepositoryNotAllowed) as raised:
        Remote(RepoUrl.parse(f"{server.url}/r.git"), bound, tmp_path)
    for words in (f"{server.url}/r.git", "hosts github.com", "credentials for this repository"):
        assert words in str(raised.value)
    assert not raised.value.retryable
    assert server.requests == []
    own = {"hosts": [server.url.removeprefix("http://")], "repositories": [f"{server.url}/*"]}
    allowed = GitCredentials.from_fields({"token": TOKEN, "email": "a@b.c", **own}, "the secret")
    assert Remote(RepoUrl.parse(f"{server.url}/r.git"), allowed, tmp_path).refs().default_branch == "main"
