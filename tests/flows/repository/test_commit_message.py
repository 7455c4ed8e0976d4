"""The run's trailer joins the trailers of the commit message, as git itself reads them."""

import subprocess

import pytest

from flows.repository.commit_message import with_run_trailer

RUN = "Prefect-Flow-Run: 0a1b"


def trailers(message: str) -> list[str]:
    """Return the trailers that git finds in a message."""
    return subprocess.run(
        ["git", "interpret-trailers", "--parse", "--no-divider"],
        input=message,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Greet", [RUN]),
        ("fix: greet", [RUN]),
        ("Greet\n\nAt length.", [RUN]),
        ("Greet\n\nSigned-off-by: A <a@b.c>", ["Signed-off-by: A <a@b.c>", RUN]),
        ("Greet\n\nBody.\n\nCo-authored-by: B <b@b.c>\nRefs: #7", ["Co-authored-by: B <b@b.c>", "Refs: #7", RUN]),
        ("Greet\r\n\r\nChange-Id: I12\r\nReviewed-by: C <c@b.c>", ["Change-Id: I12", "Reviewed-by: C <c@b.c>", RUN]),
        ("Greet\n\nBREAKING-CHANGE: the name\n is longer", ["BREAKING-CHANGE: the name is longer", RUN]),
        ("Greet\n\n---\n\nAcked-by: D <d@b.c>", ["Acked-by: D <d@b.c>", RUN]),
        ("Greet\n\nNote: one of\nthese lines is text", [RUN]),
    ],
)
def test_the_trailers_of_the_message_and_of_the_run_are_one_paragraph(message: str, expected: list[str]) -> None:
    result = with_run_trailer(message, "0a1b")
    assert trailers(result) == expected
    assert result.startswith("\n".join(message.splitlines()))
    assert result.splitlines()[0] == message.splitlines()[0]


@pytest.mark.parametrize("message", ["Greet", "fix: greet", "Greet\n\nAt length.\n---\nMore", "Grüße\n\n💡 ja"])
def test_without_trailers_the_run_has_a_paragraph_of_its_own(message: str) -> None:
    assert with_run_trailer(message, "0a1b") == f"{message}\n\n{RUN}\n"


def test_the_message_is_the_same_in_every_attempt_of_a_run() -> None:
    message = "Greet\n\nSigned-off-by: A <a@b.c>"
    once = with_run_trailer(message, "0a1b")
    assert with_run_trailer(message, "0a1b") == once
