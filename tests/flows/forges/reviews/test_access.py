"""Who may write is asked of the forge, once for each account, and by the id of the account."""

from dataclasses import replace

import pytest

from flows.errors import ForgePermissionMissing
from flows.forges.reviews.conversation import Author, WriteAccess
from flows.forges.reviews.replies import Note
from tests.support.forges.bitbucket import BitbucketStandIn
from tests.support.forges.fixtures import serve_reviews
from tests.support.forges.gitea import GiteaStandIn
from tests.support.forges.github import GitHubStandIn
from tests.support.forges.gitlab import GitLabStandIn
from tests.support.forges.review_state import OWN, SECRET, Account
from tests.support.forges.stand_in import Fault, ForgeStandIn, Reply
from tests.support.forges.stand_ins import STAND_INS

each_forge = pytest.mark.parametrize("kind", STAND_INS, ids=[kind.name for kind in STAND_INS])
answering = pytest.mark.parametrize("kind", [GitHubStandIn, GitLabStandIn, GiteaStandIn], ids=lambda kind: kind.name)
silent = pytest.mark.parametrize("kind", [STAND_INS[3], STAND_INS[4]], ids=lambda kind: kind.name)


def author(forge: ForgeStandIn, login: str) -> Author:
    return Author(str(forge.reviews.account_id(login)), login)


@answering
@pytest.mark.parametrize(
    ("permission", "expected"),
    [("admin", WriteAccess.YES), ("write", WriteAccess.YES), ("read", WriteAccess.NO), ("none", WriteAccess.NO)],
)
def test_the_permission_of_an_account_decides(kind: type[ForgeStandIn], permission: str, expected: WriteAccess) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.reviews.accounts["linus"] = Account(20, permission)
        assert api.may_write(author(forge, "linus")) is expected


@answering
def test_each_account_is_asked_about_once(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        for login in ("ada", "stranger", "ada", "ada", "stranger"):
            api.may_write(author(forge, login))
        assert len(forge.requests) == 2


@answering
def test_an_unknown_account_may_not_write(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (_, api):
        assert api.may_write(Author("404", "nobody")) is WriteAccess.NO
        assert api.may_write(Author("", "ghost")) is WriteAccess.NO


@pytest.mark.parametrize("kind", [GitHubStandIn, GiteaStandIn], ids=lambda kind: kind.name)
def test_a_name_that_belongs_to_another_account_now_gives_no_access(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (_, api):
        assert api.may_write(Author("13", "ada")) is WriteAccess.NO


@answering
@pytest.mark.parametrize("login", ["../../other", "ada/../grace", "a?b#c", "é"])
def test_a_name_stays_one_part_of_an_address(kind: type[ForgeStandIn], login: str) -> None:
    with serve_reviews(kind) as (_, api):
        assert api.may_write(Author("404", login)) is WriteAccess.NO


@silent
def test_some_forges_cannot_be_asked(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        assert api.may_write(author(forge, "ada")) is WriteAccess.UNKNOWN
        assert forge.requests == []


def test_gitea_answers_administrators_only_and_otherwise_nobody_is_trusted() -> None:
    with serve_reviews(GiteaStandIn) as (forge, api):
        forge.reviews.is_administrator = False
        forge.reviews.accounts["reader"] = Account(21, "read")  # a member of a team that reads pull requests
        answers = {login: api.may_write(author(forge, login)) for login in ("ada", "reader", "stranger", "grace")}
        assert answers == {
            "ada": WriteAccess.UNKNOWN,
            "reader": WriteAccess.UNKNOWN,
            "stranger": WriteAccess.NO,
            "grace": WriteAccess.UNKNOWN,
        }
        assert len(forge.requests) == 2


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ({"state": "blocked"}, WriteAccess.NO),
        ({"membership_state": "awaiting"}, WriteAccess.NO),
        ({"expires_at": "2020-01-01"}, WriteAccess.NO),
        ({"expires_at": "2999-01-01", "membership_state": "active", "state": "active"}, WriteAccess.YES),
        ({"expires_at": None}, WriteAccess.YES),
        ({"access_level": 25}, WriteAccess.NO),
    ],
    ids=["blocked", "awaiting", "expired", "expires", "for ever", "below a developer"],
)
def test_only_an_active_membership_of_gitlab_gives_access(member: dict[str, object], expected: WriteAccess) -> None:
    with serve_reviews(GitLabStandIn) as (forge, api):
        forge.faults.append(Fault("members", Reply(200, {"id": 11, "access_level": 50, **member})))
        assert api.may_write(author(forge, "ada")) is expected


def test_a_permission_that_the_token_cannot_ask_for_is_an_error_on_github() -> None:
    with serve_reviews(GitHubStandIn) as (forge, api):
        forge.faults.append(Fault("permission", Reply(403, {"message": "Must have push access"})))
        with pytest.raises(ForgePermissionMissing, match="push access"):
            api.may_write(author(forge, "ada"))
        assert api.may_write(author(forge, "ada")) is WriteAccess.YES


@each_forge
def test_the_own_account_is_the_author_of_what_is_written(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        account = api.own_account()
        assert account
        assert account.id == str(forge.reviews.account_id(OWN))
        forge.reviews.write("mine", 1)
        forge.reviews.say("ada", "theirs")
        ids = [thread.comments[0].author.id for thread in api.threads(1).threads]
        assert [each == account.id for each in ids] == [True, False]


def test_the_account_of_a_github_app_is_its_bot() -> None:
    with serve_reviews(GitHubStandIn) as (_, api):
        account = api.own_account()
        assert account
        assert (account.login, account.is_bot) == ("our-bot[bot]", True)


def test_the_account_of_a_person_is_no_bot() -> None:
    with serve_reviews(GitHubStandIn) as (forge, api):
        forge.reviews.accounts[OWN] = replace(forge.reviews.accounts[OWN], is_bot=False)
        account = api.own_account()
        assert account
        assert (account.login, account.is_bot) == ("our-bot", False)


@each_forge
def test_a_token_may_not_be_shown_its_account(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        forge.reviews.shows_account = False
        assert api.own_account() is None


def test_the_token_of_a_bitbucket_repository_learns_its_account_from_a_write() -> None:
    with serve_reviews(BitbucketStandIn) as (forge, api):
        forge.reviews.shows_account = False
        assert api.own_account() is None
        assert api.comment(1, Note("hello", "run", SECRET)).author.id == forge.reviews.account_id(OWN)
