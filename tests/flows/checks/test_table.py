"""Each kind of refused change, on a commit that contains it, and the setting that allows it."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows import errors
from flows.checks import table
from flows.checks.base import Inspection
from flows.checks.table import check_change
from flows.parameters.change_policy import ChangePolicy
from flows.redaction import SECRETS
from flows.repository.clone import Checkout
from flows.repository.collect import Change
from flows.repository.objects import changed_files, contents, in_portions, sizes
from tests.support.runs import Run
from tests.support.world import World

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    **{f"GIT_{role}_{key}": "t@example.com" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")},
}
GITHUB_TOKEN = "ghp_" + "a1B2" * 9
AWS_KEY = "AKIA" + "Q2" * 8
PRIVATE_KEY = (
    "-----BEGIN RSA PRIVATE KEY-----\n" + "aB3/dE5+" * 8 + "\n" + "fG7/hI9+" * 8 + "\n-----END RSA PRIVATE KEY-----"
)
CI, AGENTS, LINKS = {"allow_ci_changes": True}, {"allow_agent_files": True}, {"allow_outside_links": True}


class Repository:
    """A repository with a first commit, and the change that a test makes to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--quiet", "--initial-branch=main")
        for number in range(20):
            (root / f"{number}.txt").write_text(f"{number}\n" * 20)
        self.shell("mkdir -p .github/workflows sub; echo a > .github/workflows/ci.yml; echo b > sub/b.txt")
        self.base = self.commit()

    def git(self, *arguments: str) -> str:
        completed_process = subprocess.run(
            ["git", *arguments], cwd=self.root, env=ENVIRONMENT, check=True, capture_output=True
        )
        return completed_process.stdout.decode("utf-8", "surrogateescape").strip()

    def shell(self, command: str) -> None:
        subprocess.run(["bash", "-ec", command], cwd=self.root, env=ENVIRONMENT, check=True)

    def commit(self, message: str = "Implement") -> str:
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def check(self, message: str = "Implement", **policy: Any) -> None:  # noqa: ANN401 (any field of the policy)
        change = Change(self.commit(message), Checkout("new", "main", self.base, ""))
        check_change(self.root / ".git", change, ChangePolicy(**policy))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


@pytest.mark.parametrize(
    ("command", "error", "text", "allowed"),
    [
        ("echo x >> .github/workflows/ci.yml", errors.CiFilesChanged, "ci.yml", CI),
        ("rm .github/workflows/ci.yml", errors.CiFilesChanged, "ci.yml", CI),
        ("mv .github/workflows/ci.yml ci.yml", errors.CiFilesChanged, "ci.yml", CI),
        ("chmod +x .github/workflows/ci.yml", errors.CiFilesChanged, "ci.yml", CI),
        ("mkdir .GitHub/Workflows -p; echo > .GitHub/Workflows/x", errors.CiFilesChanged, "x", CI),
        ("echo > .gitlab-ci.yml", errors.CiFilesChanged, ".gitlab-ci.yml", CI),
        ("mkdir .circleci; echo > .circleci/config.yml", errors.CiFilesChanged, "config.yml", CI),
        ("echo > Jenkinsfile", errors.CiFilesChanged, "Jenkinsfile", CI),
        ("echo > sub/Jenkinsfile.deploy", errors.CiFilesChanged, "Jenkinsfile.deploy", CI),
        ("echo > azure-pipelines.yml", errors.CiFilesChanged, "azure-pipelines", CI),
        ("echo > bitbucket-pipelines.yml", errors.CiFilesChanged, "bitbucket", CI),
        ("echo > sub/buildspec.yml", errors.CiFilesChanged, "buildspec", CI),
        ("echo > .github/CODEOWNERS", errors.CiFilesChanged, "CODEOWNERS", CI),
        ("mkdir .claude; echo > .claude/settings.json", errors.AgentFilesChanged, "settings", AGENTS),
        ("echo > sub/.mcp.json", errors.AgentFilesChanged, ".mcp.json", AGENTS),
        ("mkdir .vscode; echo > .vscode/tasks.json", errors.AgentFilesChanged, "tasks.json", AGENTS),
        ("ln -s /etc/passwd l", errors.UnsafeSymlink, "'l'", LINKS),
        ("ln -s ../../x sub/l", errors.UnsafeSymlink, "sub/l", LINKS),
        ("ln -s .git/config l", errors.UnsafeSymlink, "'l'", LINKS),
        ("ln -s .. sub/up; ln -s sub/up/.. l", errors.UnsafeSymlink, "'l'", LINKS),
        ("ln -s l l", errors.UnsafeSymlink, "'l'", LINKS),
        ("rm 0.txt; ln -s /etc/passwd 0.txt", errors.UnsafeSymlink, "0.txt", LINKS),
        ("truncate -s 2000001 big.bin", errors.FileTooLarge, "big.bin", {"max_file_mb": 3}),
        ("truncate -s 2000001 big.bin", errors.FileTooLarge, "big.bin", {"max_file_mb": 0}),
        ("rm *.txt", errors.TooManyDeletions, "20 of 22 files", {"max_deleted_share": 1}),
        ("mkdir new; touch new/{1..30}", errors.TooManyNewFiles, "30 files, most of them in 'new' (30)",
         {"max_new_files": 30}),
        ("mkdir -p a/b c; touch a/b/{1..20} c/{1..15}", errors.TooManyNewFiles, "'a' (20), 'c' (15)",
         {"max_new_files": 0}),
        ("git init -q nested; git -C nested commit -q --allow-empty -m x", errors.UnexpectedSubmodule, "nested",
         {"allow_submodules": True}),
        ("printf '[submodule \"x\"]\n path = x\n url = https://example.com/x\n' > .gitmodules",
         errors.UnexpectedSubmodule, ".gitmodules", {"allow_submodules": True}),
        (f"echo 'key = {AWS_KEY}' >> 0.txt", errors.SecretInChange, "AWS access key", {"allow_secrets_in": ("*.txt",)}),
        (f"echo {GITHUB_TOKEN} > sub/t", errors.SecretInChange, "sub/t", {"allow_secrets_in": ("other", "sub/*")}),
        (f"echo '{PRIVATE_KEY}' > k", errors.SecretInChange, "private key", {"allow_secrets_in": ("k",)}),
        (f"echo sk-ant-api03-{'aB3_' * 20} > k", errors.SecretInChange, "'k'", {"allow_secrets_in": ("k",)}),
    ],
)  # fmt: skip
def test_a_refusal_names_the_file_and_the_setting_that_allows_it(
    repository: Repository, command: str, error: type[errors.RunError], text: str, allowed: dict[str, Any]
) -> None:
    repository.shell(command)
    limits = {"max_file_mb": 2, "max_new_files": 29}
    strict: dict[str, Any] = {name: limit for name, limit in limits.items() if name in allowed}
    with pytest.raises(errors.RunError) as caught:
        repository.check(**strict)
    assert type(caught.value) is error
    assert text in str(caught.value)
    assert f"policy.{next(iter(allowed))}" in str(caught.value)
    repository.check(**allowed)


@pytest.mark.parametrize(
    "command",
    [
        "echo x >> 0.txt; chmod +x 1.txt; rm 2.txt",
        "ln -s 0.txt l; ln -s ../0.txt sub/l; ln -s l ll; ln -s nowhere dangling; ln -s .github/../sub/./b.txt m",
        "mkdir moved; mv *.txt moved/",
        "rm {0..9}.txt",
        "printf '\\377\\376' > $'\\303\\050'; echo x > $'new\\nline'; echo x > ./-rf; echo x > 'a b'",
        "mkdir -p docs/github/workflows; echo x > docs/github/workflows/ci.yml; echo x > myJenkinsfile.md",
        "printf 'a\\r\\nb\\r\\n' > crlf",
        "echo AKIAIOSFODNN7EXAMPLE > docs.md",
        "echo \"if '-----BEGIN RSA PRIVATE KEY-----' in text:\" > check.py",
        "echo 'postgres://postgres:postgres@localhost/db' > env; echo 'password = \"hunter2hunter2\"' > p.py",
        "echo '{\"integrity\": \"sha512-'$(printf 'aB3/%.0s' {1..21})'\"}' > package-lock.json",
    ],
)
def test_ordinary_work_is_allowed(repository: Repository, command: str) -> None:
    repository.shell(command)
    repository.check()


OLD_SECRETS = f"token = {GITHUB_TOKEN}\n{PRIVATE_KEY}\nsign in as robot with ordinary-word\n"


@pytest.mark.parametrize(
    "command",
    [
        "echo more >> old.txt; git mv old.txt new.txt",
        "sed -i 's/^/        /' old.txt",
        "cp old.txt copy.txt; rm old.txt",
        "head -1 old.txt >> 0.txt",
        f"echo 'client(\"{GITHUB_TOKEN}\") # again: {GITHUB_TOKEN}' > client.py",
        """python3 -c 'import json; print(json.dumps({"key": open("old.txt").read()}))' > key.json""",
        "awk '{print \"> \" $0}' old.txt > quoted.md",
        "sed -i 's/$/\\r/' old.txt",
        "mv old.txt ordinary-word.txt; ln -s ordinary-word.txt link",
        "echo 'the ordinary-word again, and ordinary-word' > notes.md",
        "mkdir sub/new; echo x > sub/new/ordinary-word",
    ],
)
def test_what_stood_in_the_base_is_no_finding_wherever_it_stands_now(repository: Repository, command: str) -> None:
    SECRETS.learn("a git password that is an ordinary word", "ordinary-word")
    (repository.root / "old.txt").write_text(OLD_SECRETS)
    repository.base = repository.commit()
    repository.shell(command)
    repository.check(f"Move {GITHUB_TOKEN} and ordinary-word")


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (f"echo {GITHUB_TOKEN[:-1]}Z >> old.txt", errors.SecretInChange),
        (f"echo '{PRIVATE_KEY.replace('fG7', 'fG8')}' >> old.txt", errors.SecretInChange),
        (f"cp old.txt copy.txt; echo {AWS_KEY} >> copy.txt", errors.SecretInChange),
        ("echo another-word >> old.txt", errors.CredentialExposed),
        ("echo more > another-word", errors.CredentialExposed),
        ("echo another-word | base64 >> old.txt", errors.CredentialExposed),
    ],
)
def test_a_new_secret_beside_an_old_one_is_a_finding(
    repository: Repository, command: str, error: type[errors.RunError]
) -> None:
    SECRETS.learn("a git password that is an ordinary word", "ordinary-word")
    SECRETS.learn("another git password", "another-word")
    (repository.root / "old.txt").write_text(OLD_SECRETS)
    repository.base = repository.commit()
    repository.shell(command)
    with pytest.raises(error):
        repository.check()


def test_an_old_secret_in_the_name_of_a_file_is_no_finding(repository: Repository) -> None:
    SECRETS.learn("a git password that is an ordinary word", "ordinary-word")
    repository.shell("mkdir ordinary-word; echo x > ordinary-word/x")
    repository.base = repository.commit()
    repository.shell("echo y > ordinary-word/y; mv ordinary-word/x ordinary-word/z")
    repository.check()


@pytest.mark.parametrize(
    "write",
    [
        "echo {0} > f",
        "printf 'x-access-token:%s' {0} | base64 -w0 > f",
        "printf '%060d%s' 0 {0} | base64 > f",
        "printf '%020d%s' 0 {0} | od -An -v -tx1 | tr -d ' \\n' | fold -w 60 > f",
        "printf 'a\\0b%s' {0} > f",
        "ln -s {0} f",
        "mkdir -p {0}; echo > {0}/f",
    ],
)
def test_the_runs_own_credentials_are_never_pushed(repository: Repository, write: str) -> None:
    SECRETS.learn("the policies' test token", "a-token/of&the-run")
    repository.shell(write.format("'a-token/of&the-run'"))
    with pytest.raises(errors.CredentialExposed, match="the policies' test token") as caught:
        repository.check(allow_secrets_in=("*",), allow_outside_links=True)
    assert "a-token" not in str(caught.value)


def test_the_commit_message_is_checked_as_well(repository: Repository) -> None:
    SECRETS.learn("the policies' test token", "a-token/of&the-run")
    for message, error in (
        (f"with {GITHUB_TOKEN}", errors.SecretInChange),
        ("a-token/of&the-run", errors.CredentialExposed),
    ):
        with pytest.raises(error, match="the commit message"):
            repository.check(message)


def test_a_message_names_only_the_first_of_many_files(repository: Repository) -> None:
    repository.shell("mkdir .circleci; for n in {10..30}; do echo > .circleci/$n; done")
    with pytest.raises(errors.CiFilesChanged, match=r"'.circleci/14', and 16 more: set"):
        repository.check()


def test_contents_are_read_in_portions_that_fit_in_memory(repository: Repository) -> None:
    repository.shell("for n in {1..5}; do head -c 20000000 /dev/urandom > $n.bin; done")
    commit = repository.commit()
    git_dir = repository.root / ".git"
    files = changed_files(git_dir, repository.base, commit)
    size_of = sizes(git_dir, {blob for file in files for blob in file.blobs})
    portions = list(in_portions(files, size_of))
    assert [file for portion in portions for file in portion] == list(files)
    assert max(len(portion) for portion in portions) == 2
    assert len(contents(git_dir, [files[0].blob, "0" * 40])[files[0].blob]) == 20_000_000


class Sealed(errors.RunError):
    """The error of a check that exists only in this test."""


def check_seal(inspection: Inspection) -> None:
    if files := inspection.name_files(lambda file: file.path == "hello.txt"):
        raise Sealed(f"{files} is sealed")


def test_a_check_that_is_added_to_the_table_can_refuse_a_run(
    world: World, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "CHECKS", (*table.CHECKS, check_seal))
    refused = run()
    assert type(refused.error) is Sealed
    assert "'hello.txt' is sealed" in str(refused.error)
    assert world.branches() == {"main"}


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{:064d}\nsize 12\n"


@pytest.fixture
def lfs(repository: Repository) -> Repository:
    (repository.root / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\nplain.bin -filter\n")
    (repository.root / "a.bin").write_text(POINTER.format(1))
    (repository.root / "sub" / ".gitattributes").write_text("media/** filter=lfs\n")
    repository.base = repository.commit()
    return repository


@pytest.mark.parametrize(
    "command",
    [
        "printf 'raw bytes' > a.bin",
        "echo more >> a.bin",
        "sed -i '/^size/d' a.bin",
        "head -c 5000 /dev/zero > new.bin",
        "mkdir -p sub/media; echo raw > sub/media/x",
        "mv 0.txt renamed.bin",
        "echo '*.dat filter=lfs' >> .gitattributes; echo raw > b.dat",
    ],
)
def test_the_content_of_a_file_of_git_lfs_is_refused(lfs: Repository, command: str) -> None:
    lfs.shell(command)
    with pytest.raises(errors.LfsFileWithoutPointer):
        lfs.check()


@pytest.mark.parametrize(
    "command",
    [
        "rm a.bin",
        "mv a.bin moved.bin",
        f"printf '{POINTER.format(2)}' > b.bin",
        "echo text > plain.bin; echo text > c.txt",
        "touch empty.bin",
    ],
)
def test_pointers_and_other_files_pass(lfs: Repository, command: str) -> None:
    lfs.shell(command)
    lfs.check()
