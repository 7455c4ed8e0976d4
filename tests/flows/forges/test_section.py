"""An update replaces this program's part of a body and nothing else."""

import pytest

from flows.forges.section import add_marks, is_of_run, with_section, with_template

OLD = add_marks("old", "run-1", "c0ffee", html_comments=True)
NEW = add_marks("new", "run-1", "beef00", html_comments=True)
HIDDEN = add_marks("hidden", "run-1", "c0ffee", html_comments=False)
END = "<!-- claude-code-headless:end run=run-1 head=c0ffee -->"
LIMIT = 10_000


@pytest.mark.parametrize(
    ("body", "last_section", "expected"),
    [
        (OLD, OLD, NEW),
        (f"a\n\n{OLD}\n\nb", OLD, f"a\n\n{NEW}\n\nb"),
        (f"a\r\n\r\n{OLD}\r\n".replace("\n\n", "\r\n\r\n"), OLD, f"a\n\n{NEW}\n"),
        (f"a\n\n{HIDDEN}\n\nb", "", f"a\n\n{NEW}\n\nb"),
        (f"{OLD}\n\n{OLD}", OLD, f"{NEW}\n\n{OLD}"),
        ("a person's", "", f"a person's\n\n{NEW}"),
        ("", "", NEW),
        ("a person's", OLD, "a person's"),
        (f"{OLD[:-20]} and no end", OLD, f"{OLD[:-20]} and no end"),
    ],
    ids=["alone", "between", "CRLF", "other marks", "twice", "none", "empty", "removed", "no end"],
)
def test_only_the_section_is_replaced(body: str, last_section: str, expected: str) -> None:
    assert with_section(body, NEW, last_section, LIMIT) == expected


def test_a_body_that_would_be_too_long_is_not_changed() -> None:
    assert with_section("x" * 100, NEW, "", 150) == "x" * 100
    assert with_template(NEW, "x" * 100, 150) == NEW
    assert with_template(NEW, "\r\n\r\n", LIMIT) == NEW


def test_a_run_is_known_by_its_whole_id() -> None:
    for section in (OLD, HIDDEN, f"before\n{OLD}\nafter"):
        assert is_of_run(section, "run-1")
        assert not is_of_run(section, "run-")
        assert not is_of_run(section, "un-1")
    assert not is_of_run("run=run-1 head=c0ffee", "run-1")


def test_marks_in_the_text_do_not_end_the_section() -> None:
    section = add_marks(f"a {OLD} b {HIDDEN}", "run-2", "c0ffee", html_comments=True)
    assert section.count("claude-code-headless:") == 2
    assert with_section(section, NEW, "", LIMIT) == NEW
    assert not is_of_run(section, "run-1")


def test_many_marks_do_not_hold_up_a_run() -> None:
    begin = "<!-- claude-code-headless:begin -->"
    body = begin * 50_000 + "<!-- claude-code-headless:end" * 50_000
    assert with_section(body, NEW, OLD, 10**7) == body
    assert not is_of_run(body, "run-1")


@pytest.mark.parametrize("depth", [1, 2, 20])
def test_a_mark_that_appears_when_another_is_removed_is_none(depth: int) -> None:
    mark = END
    for _ in range(depth):
        mark = mark.replace("headless", f"head{END}less", 1) if mark == END else f"{END[:10]}{mark}{END[10:]}"
    section = add_marks(f"a {mark} b", "run-2", "c0ffee", html_comments=True)
    assert with_section(section, NEW, "", LIMIT) == NEW
    assert with_section(with_template(section, f"a {mark} b", LIMIT), NEW, "", LIMIT) == f"{NEW}\n\na  b"


def test_what_a_person_wrote_after_a_mark_without_a_partner_stays() -> None:
    without_end = OLD.removesuffix(END)
    body = with_section(f"{without_end}my own words", NEW, "", LIMIT)
    later = with_section(body, OLD, "", LIMIT)
    assert later == f"{without_end}my own words\n\n{OLD}"
