"""Repository URLs, S3 URIs and branch names: which are accepted, which are refused, and with which errors."""

import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flows.errors import InvalidBranchName, InvalidRepoUrl, InvalidS3Uri
from flows.parameters.addresses import ALLOW_PRIVATE_HOSTS, RepoUrl, S3Uri, check_branch_name

# Lone surrogates are included, because JSON's \ud800 can bring them into a parameter.
ANY_TEXT = st.lists(st.one_of(st.characters(), st.sampled_from("\ud800\udcff")), max_size=60).map("".join)


@pytest.mark.parametrize(
    ("text", "url", "origin", "name"),
    [
        ("https://github.com/owner/repo.git", "https://github.com/owner/repo.git", "https://github.com", "repo"),
        ("https://github.com/owner/repo", "https://github.com/owner/repo", "https://github.com", "repo"),
        ("https://github.com/owner/repo/", "https://github.com/owner/repo", "https://github.com", "repo"),
        ("https://github.com/owner/repo.git//", "https://github.com/owner/repo.git", "https://github.com", "repo"),
        ("https://a.example:8443/a/b.git", "https://a.example:8443/a/b.git", "https://a.example:8443", "b"),
        ("https://gitlab.com/a/b/c/d.git", "https://gitlab.com/a/b/c/d.git", "https://gitlab.com", "d"),
        ("http://127.0.0.1:8080/repo.git", "http://127.0.0.1:8080/repo.git", "http://127.0.0.1:8080", "repo"),
        ("http://localhost/repo", "http://localhost/repo", "http://localhost", "repo"),
        ("http://[::1]:3000/repo.git", "http://[::1]:3000/repo.git", "http://[::1]:3000", "repo"),
        ("https://[::1]/repo", "https://[::1]/repo", "https://[::1]", "repo"),
        ("https://8.8.8.8/repo", "https://8.8.8.8/repo", "https://8.8.8.8", "repo"),
        ("https://example.com/%C3%A9.git", "https://example.com/%C3%A9.git", "https://example.com", "%C3%A9"),
        ("https://azure.example/My%20P/_git/r", "https://azure.example/My%20P/_git/r", "https://azure.example", "r"),
        ("https://example.com/a%20b%20c.git", "https://example.com/a%20b%20c.git", "https://example.com", "a%20b%20c"),
        ("https://example.com/%E4%BD%A0%20x/r", "https://example.com/%E4%BD%A0%20x/r", "https://example.com", "r"),
        ("https://example.com/a..b", "https://example.com/a..b", "https://example.com", "a..b"),
    ],
)  # fmt: skip
def test_a_valid_repository_url_is_split_into_its_parts(text: str, url: str, origin: str, name: str) -> None:
    parsed = RepoUrl.parse(text)
    assert (parsed.url, parsed.origin, parsed.name) == (url, origin, name)
    assert str(parsed) == parsed.origin + parsed.path == url


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "ext::sh -c x", "ext::sh", "fd::3", "-oProxyCommand=x", "--upload-pack=x", "file:///etc",
        "file://localhost/etc", "/srv/repo.git", "./repo", "repo", "C:\\repo", "git://example.com/repo",
        "git@github.com:owner/repo.git", "ssh://git@github.com/owner/repo.git", "ssh://-oProxyCommand=x",
        "https://-oProxyCommand=x/repo", "ftp://example.com/repo", "http://example.com/repo", "http://10.0.0.1/repo",
        "http://127.0.0.1.example.com/repo", "https://token@example.com/repo",
        "https://user:password@example.com/repo", "https://@example.com/repo", "https://example.com/a repo",
        "https://example.com/repo\n", "https://example.com/repo\x00", "https://example.com/re\tpo",
        "https://example.com/repo\r\nHost: other", "https://example.com\\repo", "https://example.com/%00",
        "https://example.com/a%0ab", "https://example.com/a%09b", "https://example.com/a%C2%A0b", "https://example.com/a/../b",
        "https://example.com/%2e%2e/b", "https://example.com/repo?ref=x", "https://example.com/repo?",
        "https://example.com/repo#x", "https://example.com/repo#", "https://example.com", "https://example.com/",
        "https:///repo", "https://:443/repo", "https:/example.com/repo", "https:example.com/repo",
        "//example.com/repo", "https://example.com:0/repo", "https://example.com:99999/repo",
        "https://example.com:port/repo", "https://exa_mple!.com/repo", "https://[::1/repo",
        "https://[fe80::1%25eth0]/repo", "https://ho\u2100st/repo",
    ],
)  # fmt: skip
def test_an_invalid_repository_url_is_refused(text: str) -> None:
    with pytest.raises(InvalidRepoUrl, match="repo_url"):
        RepoUrl.parse(text)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("git@github.com:owner/repo.git", "https://github.com/owner/repo.git"),
        ("gitlab.com:group/sub/repo.git", "https://gitlab.com/group/sub/repo.git"),
        ("ssh://git@git.example.com:2222/owner/repo.git", "https://git.example.com/owner/repo.git"),
        ("ssh://git@ssh.github.com:443/owner/repo.git", "https://github.com/owner/repo.git"),
        ("git@altssh.bitbucket.org:owner/repo.git", "https://bitbucket.org/owner/repo.git"),
        ("git+ssh://git@example.com/owner/repo", "https://example.com/owner/repo"),
        ("git://example.com/repo", "https://example.com/repo"),
        ("git@ssh.dev.azure.com:v3/org/My%20Project/repo", "https://dev.azure.com/org/My%20Project/_git/repo"),
        ("org@vs-ssh.visualstudio.com:v3/org/project/repo", "https://dev.azure.com/org/project/_git/repo"),
        ("codecommit::eu-west-1://profile@repo", "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/repo"),
        ("https://org@dev.azure.com/org/project/_git/repo", "https://dev.azure.com/org/project/_git/repo"),
        ("https://user:hunter2@example.com:8443/repo.git", "https://example.com:8443/repo.git"),
        ("https://hunter2@github.com/owner/repo", "https://github.com/owner/repo"),
        ("https://dev.azure.com/org/My Project/_git/repo", "https://dev.azure.com/org/My%20Project/_git/repo"),
        ("https://example.com/repo\n", "https://example.com/repo"),
        ("http://github.com/owner/repo", "https://github.com/owner/repo"),
        ("github.com/owner/repo", "https://github.com/owner/repo"),
        ("https://github.com/owner/repo?tab=readme-ov-file", "https://github.com/owner/repo"),
        ("https://github.com/owner/repo#readme", "https://github.com/owner/repo"),
    ],
)
def test_a_refused_address_is_refused_with_the_url_to_use(text: str, url: str) -> None:
    with pytest.raises(InvalidRepoUrl) as caught:
        RepoUrl.parse(text)
    assert str(caught.value).endswith(f"; set it to {url}")
    assert "hunter2" not in str(caught.value)
    assert RepoUrl.parse(url).url == url


@pytest.mark.parametrize(
    "text",
    ["C:\\repo", "/srv/repo.git", "repo", "file:///etc", "ext::sh -c x", "git@github.com:", "ssh://git@", "http://10.0.0.1/r",
     "https://user:hunter2/x@example.com/repo", "user:hunter2@example.com/repo", "https://exa_mple!.com/repo"],
)  # fmt: skip
def test_no_url_is_suggested_if_it_would_be_a_guess(text: str) -> None:
    with pytest.raises(InvalidRepoUrl) as caught:
        RepoUrl.parse(text)
    assert "set it to" not in str(caught.value)


PRIVATE_URLS = [
    "https://10.0.0.1/repo", "https://172.16.0.1/repo", "https://192.168.1.1/repo", "https://169.254.169.254/repo",
    "https://169.254.170.2/repo", "https://0.0.0.0/repo", "https://[fd00::1]/repo", "https://[fe80::1]/repo",
    "https://[::ffff:169.254.169.254]/repo",
]  # fmt: skip


@pytest.mark.parametrize("url", PRIVATE_URLS)
def test_a_private_host_is_refused_unless_the_operator_allows_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidRepoUrl, match="private"):
        RepoUrl.parse(url)
    monkeypatch.setenv(ALLOW_PRIVATE_HOSTS, "false")
    with pytest.raises(InvalidRepoUrl, match="private"):
        RepoUrl.parse(url)
    monkeypatch.setenv(ALLOW_PRIVATE_HOSTS, "true")
    assert RepoUrl.parse(url).url == url


@pytest.mark.parametrize(
    "host", ["2852039166", "0xa9fea9fe", "169.254.43518", "0251.0376.0251.0376", "0xa9.0xfe.0xa9.0xfe"]
)
def test_a_private_address_in_another_spelling_is_refused(host: str) -> None:
    # libcurl and getaddrinfo(3) read all of these as 169.254.169.254.
    with pytest.raises(InvalidRepoUrl):
        RepoUrl.parse(f"https://{host}/repo")


@pytest.mark.parametrize("host", ["[::1]example.com", "example.com[::1]", "[::1].example.com:80"])
def test_text_around_a_bracketed_address_does_not_make_a_loopback_host(host: str) -> None:
    with pytest.raises(InvalidRepoUrl):
        RepoUrl.parse(f"http://{host}/repo")


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter2@example.com/repo", "https://hunter2@example.com/repo",
        "ssh://user:hunter2@example.com/repo", "https://user:hunter2 @example.com/repo",
        "https://user:hunter2@example.com/repo\n", "https://user:hunter2@ho\u2100st/repo",
        "https://user:hunter2/x@example.com/repo", "https://user:hunter2@example.com:port/repo",
        "https://user:hunter2@[::1/repo", "https:/user:hunter2@example.com/repo", "user:hunter2@example.com/repo",
    ],
)  # fmt: skip
def test_the_message_about_a_url_with_a_password_does_not_repeat_the_password(url: str) -> None:
    with pytest.raises(InvalidRepoUrl) as caught:
        RepoUrl.parse(url)
    assert "hunter2" not in str(caught.value)


@given(
    st.one_of(
        ANY_TEXT, st.from_regex(r"https?://[-a-z0-9.:\[\]@%_]{1,20}/[^\n]{0,20}"), ANY_TEXT.map("https://h/".__add__)
    )
)
@example("https://h/\ud800")
def test_any_text_is_a_repository_url_or_raises_the_named_error(text: str) -> None:
    try:
        parsed = RepoUrl.parse(text)
    except InvalidRepoUrl:
        return
    assert parsed.url.encode().startswith((b"https://", b"http://"))
    assert "@" not in parsed.origin
    assert not set(parsed.url) & set(" \t\r\n\x00\\?#")
    assert RepoUrl.parse(parsed.url) == parsed


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("arn:aws:s3:::bucket/docs/a.md", "s3://bucket/docs/a.md"),
        ("arn:aws-cn:s3:::bucket/docs/*", "s3://bucket/docs/*"),
        ("https://bucket.s3.eu-west-1.amazonaws.com/a%20b.md", "s3://bucket/a b.md"),
        ("https://bucket.s3.amazonaws.com/a.md?X-Amz-Signature=hunter2", "s3://bucket/a.md"),
        ("https://s3.us-east-1.amazonaws.com/bucket/a.md", "s3://bucket/a.md"),
        ("https://s3-eu-west-1.amazonaws.com/bucket/a.md", "s3://bucket/a.md"),
        ("S3://bucket/a.md", "s3://bucket/a.md"),
        ("s3:/bucket/a.md", "s3://bucket/a.md"),
    ],
)
def test_another_notation_of_an_s3_object_is_refused_with_the_uri_to_use(text: str, uri: str) -> None:
    with pytest.raises(InvalidS3Uri) as caught:
        S3Uri.parse(text)
    assert str(caught.value).endswith(f"set it to {uri}")
    assert "hunter2" not in str(caught.value)
    assert str(S3Uri.parse(uri)) == uri


@pytest.mark.parametrize(
    ("text", "bucket", "key", "is_folder", "normalized"),
    [
        ("s3://bucket/file.md", "bucket", "file.md", False, "s3://bucket/file.md"),
        ("s3://my.bucket-1/a/b/é.md", "my.bucket-1", "a/b/é.md", False, "s3://my.bucket-1/a/b/é.md"),
        ("s3://bucket/a b.md", "bucket", "a b.md", False, "s3://bucket/a b.md"),
        ("s3://bucket/folder/", "bucket", "folder/", True, "s3://bucket/folder/*"),
        ("s3://bucket/folder/*", "bucket", "folder/", True, "s3://bucket/folder/*"),
        ("s3://bucket/*", "bucket", "", True, "s3://bucket/*"),
    ],
)
def test_a_valid_s3_uri_names_an_object_or_a_folder(
    text: str, bucket: str, key: str, is_folder: bool, normalized: str
) -> None:
    parsed = S3Uri.parse(text)
    assert (parsed.bucket, parsed.key, parsed.is_folder, str(parsed)) == (bucket, key, is_folder, normalized)


@pytest.mark.parametrize(
    "text",
    [
        "", "bucket/key", "https://bucket.s3.amazonaws.com/key", "S3://bucket/key", "s3:/bucket/key",
        " s3://bucket/key", "s3://", "s3:///key", "s3://bucket", "s3://ab/key", f"s3://{'a' * 64}/key",
        "s3://Bucket/key", "s3://buck_et/key", "s3://-bucket/key", "s3://bucket-/key", "s3://buc..ket/key",
        "s3://bucket\n/key", "s3://user@bucket/key", "s3://bucket/a*", "s3://bucket/*.md", "s3://bucket/*/a",
        "s3://bucket/a/**", "s3://bucket/**", "s3://bucket/*/", "s3://bucket/a\x00b", "s3://bucket/a\nb",
        "s3://bucket/a\x7fb",
    ],
)  # fmt: skip
def test_an_invalid_s3_uri_is_refused(text: str) -> None:
    with pytest.raises(InvalidS3Uri, match="instructions_s3_uri"):
        S3Uri.parse(text)


@given(st.one_of(ANY_TEXT, ANY_TEXT.map("s3://bucket/".__add__), st.from_regex(r"s3://[a-zA-Z0-9._/*-]{0,30}")))
@example("s3://bucket/\ud800")
def test_any_text_is_an_s3_uri_or_raises_the_named_error(text: str) -> None:
    try:
        parsed = S3Uri.parse(text)
    except InvalidS3Uri:
        return
    assert parsed.is_folder == (parsed.key.encode() == b"" or parsed.key.endswith("/"))
    assert "*" not in parsed.key
    assert S3Uri.parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    "name",
    [
        "main", "feature/todo-api", "é", "日本/語", "a.b", "a@b", "a/@", "a/HEAD", "head", "refs", "a`b|c$d", "a{b}",
        "lock", "x.locked", "a" * 200, "é" * 100, "a/-b",
    ],
)  # fmt: skip
def test_a_valid_branch_name_is_returned_unchanged(name: str) -> None:
    assert check_branch_name(name) == name
    assert git_accepts(name)


@pytest.mark.parametrize(
    "name",
    [
        "", "-", "-a", "--force", "a..b", "..", "a b", " a", "a ", "a~b", "a^b", "a:b", "a?b", "a*b", "a[b", "a\\b",
        "a.lock", "a.lock/b", ".lock", "@{", "a@{b", "@{-1}", "@", "HEAD", "refs/heads/x", "refs/x", ".a", "a/.b", "a.",
        "/a", "a/", "a//b", "/", "a\0b", "a\nb", "a\tb", "a\x7fb", "a" * 201, "é" * 101, "a\ud800", "\udcff\ud800",
    ],
)  # fmt: skip
def test_an_invalid_branch_name_is_refused_with_the_name_of_the_parameter(name: str) -> None:
    with pytest.raises(InvalidBranchName, match=r"^base_branch "):
        check_branch_name(name, "base_branch")


def git_accepts(name: str) -> bool:
    argv = [b"git", b"check-ref-format", b"--branch", name.encode()]
    return subprocess.run(argv, cwd="/", capture_output=True, check=False).returncode == 0


def is_refused_on_purpose(name: str) -> bool:
    breaks_own_rule = name.startswith("refs/") or name in {"HEAD", "@"} or len(name.encode()) > 200
    return breaks_own_rule or any(character.isspace() for character in name)


BRANCH_PARTS = st.sampled_from(
    ["a", "é", "/", ".", "..", "-", "@", "{", "@{", "~", "^", ":", "?", "*", "[", "]", "\\", " ", "\x7f", "\n", "lock",
     ".lock", "HEAD", "refs/", "heads/", "a" * 99, "\u2028", "\x85"]
)  # fmt: skip
NAMES = st.lists(BRANCH_PARTS, min_size=1, max_size=5).map("".join)


@given(st.one_of(NAMES, NAMES, st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)))
def test_a_branch_name_that_git_accepts_is_refused_only_on_purpose(name: str) -> None:
    try:
        check_branch_name(name)
    except InvalidBranchName:
        assert is_refused_on_purpose(name) or not git_accepts(name)
    else:
        assert git_accepts(name)
        assert not is_refused_on_purpose(name)


@given(ANY_TEXT)
def test_any_text_is_a_branch_name_or_raises_the_named_error(name: str) -> None:
    try:
        assert check_branch_name(name).encode()
    except InvalidBranchName as error:
        assert str(error).startswith("branch_name ")  # noqa: PT017 (both outcomes are allowed)
