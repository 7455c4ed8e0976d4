"""A run listens to new comments of people who may push, and says of each other one why it does not."""

from dataclasses import replace
from datetime import timedelta

import pytest

from flows.forges.reviews.conversation import Author, Comment, Thread, WriteAccess
from flows.forges.reviews.replies import SUMMARY, Key
from flows.forges.reviews.selection import MOST_HEARD, Reason, Rules, Selection, select_comments
from tests.support.forges.fixtures import serve_reviews
from tests.support.forges.review_state import SECRET, START
from tests.support.forges.stand_in import ForgeStandIn
from tests.support.forges.stand_ins import STAND_INS

ADA = Author("11", "ada")
OWN = Author("90", "our-bot", is_bot=True)
STRANGER = Author("13", "stranger")
UNKNOWN = Author("20", "linus")
BOT = Author("14", "renovate[bot]", is_bot=True)
KEY = Key.of("a-run", SUMMARY, SECRET).mark(html_comments=True)
ACCESS = {"11": WriteAccess.YES, "13": WriteAccess.NO, "20": WriteAccess.UNKNOWN, "90": WriteAccess.YES}


def minute(number: float) -> timedelta:
    return timedelta(minutes=number)


def comment(author: Author = ADA, created: float = 20, edited: float | None = None, text: str = "please") -> Comment:
    moments = (START + minute(created), START + minute(created if edited is None else edited))
    return Comment("c1", author, text, *moments)


RULES = Rules(requested_at=START + minute(30), last_requested_at=START + minute(10), account=OWN)


def may_write(author: Author) -> WriteAccess:
    return ACCESS[author.id]


def select(one: Comment, rules: Rules = RULES, **thread: bool) -> str:
    """Return `heard`, `old`, or the reason."""
    result = select_comments([Thread("t", (one,), "a.py", 1, **thread)], rules, may_write)
    assert len(result.heard) + len(result.unheard) <= 1
    if result.heard:
        return "heard"
    return result.unheard[0].reason.name if result.unheard else "old"


@pytest.mark.parametrize(
    ("created", "edited", "expected"),
    [
        (20, None, "heard"),
        (20, 25, "heard"),
        (30, None, "heard"),
        (10, None, "heard"),
        (5, None, "heard"),
        (5, 10, "heard"),
        (5, 20, "heard"),
        (20, 31, "EDITED"),
        (5, 31, "EDITED"),
        (31, None, "LATER"),
        (31, 32, "LATER"),
    ],
)
def test_the_moments_of_a_comment_decide(created: float, edited: float | None, expected: str) -> None:
    assert select(comment(created=created, edited=edited)) == expected


def test_a_comment_is_heard_by_exactly_one_of_two_runs() -> None:
    """Also if it was edited after the first one was asked for."""
    later = replace(RULES, last_requested_at=RULES.requested_at, requested_at=START + minute(60))
    for created, edited in ((5, None), (20, None), (30, None), (31, None), (20, 31), (29.999, 30), (29, 59)):
        one = comment(created=created, edited=edited)
        is_heard = select(one, RULES) == "heard"
        second = replace(later, answered_ids=frozenset({one.id})) if is_heard else later
        assert [is_heard, select(one, second) == "heard"].count(True) == 1


@pytest.mark.parametrize("author", [BOT, UNKNOWN, STRANGER, OWN], ids=lambda author: author.login)
def test_an_old_comment_is_heard_as_soon_as_its_author_counts(author: Author) -> None:
    one = comment(author, created=5)
    assert select(one) == "old", "an earlier run has named it"
    assert select(one, replace(RULES, reviewers_heard=frozenset({author.id}))) == "heard"


def test_an_old_comment_is_heard_as_soon_as_its_thread_is_open_again() -> None:
    assert select(comment(created=5), is_resolved=True) == "old"
    assert select(comment(created=5)) == "heard"


def test_the_first_run_on_a_pull_request_hears_all_that_was_said_before() -> None:
    assert select(comment(created=-9999), replace(RULES, last_requested_at=None)) == "heard"


def test_an_edit_of_a_comment_that_was_answered_is_not_new() -> None:
    rules = replace(RULES, answered_ids=frozenset({"c1"}))
    assert select(comment(created=5, edited=20), rules) == "EDITED_SINCE"
    assert select(comment(created=5), rules) == "old"
    assert select(comment(created=5, edited=20), rules, is_resolved=True) == "old"


def test_resolved_and_outdated_threads_are_not_heard() -> None:
    assert select(comment(), is_resolved=True) == "RESOLVED"
    assert select(comment(), is_outdated=True) == "OUTDATED"


@pytest.mark.parametrize(
    ("author", "heard", "expected"),
    [
        (ADA, "", "heard"),
        (STRANGER, "", "NO_ACCESS"),
        (STRANGER, "13", "heard"),
        (UNKNOWN, "", "UNKNOWN_ACCESS"),
        (UNKNOWN, "20", "heard"),
        (UNKNOWN, "linus", "NAME"),
        (BOT, "", "BOT"),
        (BOT, "14", "heard"),
        (OWN, "", "OWN_ACCOUNT"),
        (OWN, "90", "heard"),
        (Author("", "ghost"), "", "NO_ACCOUNT"),
    ],
)
def test_the_author_decides(author: Author, heard: str, expected: str) -> None:
    rules = replace(RULES, reviewers_heard=frozenset({heard} - {""}))
    assert select(comment(author), rules) == expected


@pytest.mark.parametrize("author", [BOT, OWN, UNKNOWN, STRANGER], ids=lambda author: author.login)
@pytest.mark.parametrize("form", ["{}", "@{}", "{} of another"])
def test_a_name_in_the_place_of_an_id_is_said(author: Author, form: str) -> None:
    names = {author.login, author.login.removesuffix("[bot]"), author.login.upper()}
    for name in names:
        reason = select(comment(author), replace(RULES, reviewers_heard=frozenset({form.format(name)})))
        assert (reason == "NAME") == (form != "{} of another")
    assert select(comment(author), replace(RULES, reviewers_heard=frozenset({author.login, author.id}))) == "heard"


def test_a_list_with_an_empty_id_does_not_hear_accounts_without_one() -> None:
    assert select(comment(Author("", "ghost")), replace(RULES, reviewers_heard=frozenset({""}))) == "NO_ACCOUNT"


def test_comments_of_this_program_are_never_heard() -> None:
    own = comment(OWN, text=f"> done\n\n{KEY}")
    assert select(own) == "old"
    assert select(own, replace(RULES, reviewers_heard=frozenset({"90"}))) == "old"
    assert select(own, replace(RULES, account=None)) == "old"


def test_a_comment_of_another_account_with_a_key_is_not_heard() -> None:
    """A token of another account may have written it, and a run must not answer itself."""
    one = comment(ADA, text=f"please\n\n{KEY}")
    assert select(one) == "ANOTHER_KEY"
    assert select(one, replace(RULES, reviewers_heard=frozenset({ADA.id}))) == "ANOTHER_KEY"
    assert select(comment(ADA, text=f"{KEY}\n\nplease")) == "heard"


def test_nobody_is_asked_about_without_need() -> None:
    names_asked: list[str] = []

    def ask(author: Author) -> WriteAccess:
        names_asked.append(author.id)
        return WriteAccess.YES

    comments = (comment(BOT), comment(OWN), comment(created=31), comment(STRANGER))
    select_comments([Thread("t", comments)], replace(RULES, reviewers_heard=frozenset({"13"})), ask)
    select_comments([Thread("t", (comment(created=5),))], replace(RULES, answered_ids=frozenset({"c1"})), ask)
    select_comments([Thread("t", (comment(),), is_resolved=True)], RULES, ask)
    assert names_asked == []


def test_a_run_listens_to_so_many_comments_that_it_can_answer_them() -> None:
    threads = [Thread(f"t{number}", (replace(comment(), id=f"c{number}"),)) for number in range(MOST_HEARD + 2)]
    result = select_comments(threads, RULES, may_write)
    assert [each.comment.id for each in result.heard] == [f"c{number}" for number in range(MOST_HEARD)]
    assert [each.reason for each in result.unheard] == [Reason.TOO_MANY] * 2
    rest = select_comments(
        threads,
        replace(
            RULES,
            answered_ids=frozenset(each.comment.id for each in result.heard),
            last_requested_at=RULES.requested_at,
            requested_at=START + minute(60),
        ),
        may_write,
    )
    assert [each.comment.id for each in rest.heard] == ["c100", "c101"]


def test_every_reason_is_a_text_for_a_person() -> None:
    assert all(" " in reason and not reason.endswith(".") for reason in Reason)


@pytest.mark.parametrize("kind", STAND_INS, ids=[kind.name for kind in STAND_INS])
def test_a_whole_conversation_of_a_forge(kind: type[ForgeStandIn]) -> None:
    with serve_reviews(kind) as (forge, api):
        say = forge.reviews.say
        first = say("ada", "rename it", 20, path="a.py", line=1)
        say("stranger", "no, delete it", 21, path="a.py", line=1, answers=first.id)
        say("grace", "is it tested?", 22)
        say("ada", "edited", 23, edited=31)
        say("ada", "resolved", 24, path="b.py", line=1, is_resolved=True)
        say("renovate", "update me", 25)
        say("ada", "resolved long ago", 5, path="b.py", line=2, is_resolved=True)
        say("ada", "later", 40)
        say("stranger", "delete all", 26)
        account = api.own_account()
        people = ("ada", "grace") if kind.name in {"bitbucket", "azure"} else ()
        heard = frozenset(str(forge.reviews.account_id(login)) for login in people)
        rules = replace(RULES, account=account, reviewers_heard=heard)
        result = select_comments(api.threads(1).threads, rules, api.may_write)
        assert heard_texts(result) == ["is it tested?", "rename it"]
        stranger = Reason.UNKNOWN_ACCESS if people else Reason.NO_ACCESS
        assert {each.comment.text: each.reason for each in result.unheard} == {
            "no, delete it": stranger,
            "edited": Reason.EDITED,
            "resolved": Reason.RESOLVED,
            "update me": Reason.BOT,
            "later": Reason.LATER,
            "delete all": stranger,
        }


def heard_texts(result: Selection) -> list[str]:
    return sorted(each.comment.text for each in result.heard)
