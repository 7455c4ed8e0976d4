"""A question at the end of the agent's last words is found, and an offer of help or an answered question is not one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.agent.last_words import mentions_denial, question

QUESTIONS = [
    ("Two databases are possible. Which one shall I use?", "Which one shall I use?"),
    ("I looked at the code.\n\n**Shall I delete the old API?**", "Shall I delete the old API?"),
    ("Which of these do you want?\n\n1. SQLite\n2. PostgreSQL", "2. PostgreSQL"),
    ("Which of these do you want?\n- SQLite\n- PostgreSQL\n", "- PostgreSQL"),
    ("There are two ways:\n\n- a\n- b\n\nPlease tell me which to take.", "Please tell me which to take."),
    ("Should the tests stay? I am waiting for your answer.", "waiting for your answer"),
    ("I need more details before I can start.", "more details"),
    ('What does "soon" mean in the second requirement (“soon”)?', "second requirement"),
    ("Welche Datenbank soll ich nehmen?", "Datenbank"),
    ("どのデータベースを使いますか？", "データベース"),  # noqa: RUF001
    ("Shall I go on?\n\n```sql\nSELECT 1;\n```", "Shall I go on?"),
    ("Before I begin, a few questions:\r\n\r\nWhich framework?\r\n", "Which framework?"),
    ("Could you let me know which branch?", "which branch"),
]
STATEMENTS = [
    "",
    "It is all there already.",
    "Does the parser accept empty lists? Yes, it does. Nothing has to change.",
    "Nothing to change. Is there anything else?",
    "Everything is done. Let me know if you need anything else.",
    "All is well. Let me know if you have questions.",
    "The file already asks the user `Continue?`.\n\nSo there is nothing to do.",
    "The code is:\n\n```js\nconst a = b ? c : d\nwhy?\n```",
    "- one\n- two",
    "See https://example.com/?q=1 for the reason.",
    "What can I help you with?",
]


@pytest.mark.parametrize(("text", "part"), QUESTIONS)
def test_a_question_at_the_end_is_found_with_its_choices(text: str, part: str) -> None:
    assert part in question(text)


@pytest.mark.parametrize("text", STATEMENTS)
def test_a_statement_is_no_question(text: str) -> None:
    assert question(text) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I may not write .npmrc: permission was denied.", True),
        ("Access to the page was blocked.", True),
        ("I couldn't install it.", True),
        ("I was unable to fetch the specification.", True),
        ("It is all there already.", False),
        ("", False),
    ],
)
def test_a_report_of_a_denial_is_recognized(text: str, expected: bool) -> None:
    assert mentions_denial(text) is expected


@given(st.text(), st.text())
def test_any_text_is_read_without_an_error_and_a_question_is_a_part_of_it(text: str, end: str) -> None:
    assert isinstance(question(f"{text}\n\n{end}"), str)
    mentions_denial(text)
