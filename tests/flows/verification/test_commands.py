"""Verify commands as text: one on each line."""

from dataclasses import replace
from pathlib import Path

import pytest

from flows.errors import InvalidVerifyCommands
from flows.repository.clone import Checkout
from flows.repository.setup import setup_command
from flows.sandbox.workspace import workspace
from flows.verification.commands import VerifyCommands, check_syntax, parse_commands, verify_commands

CHECKOUT = Checkout(
    "new", "main", "0" * 40, setup_source="the file", verify_commands="make a\nmake b", junit=("r.xml",)
)


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("", ()),
        ("\n  \n# a comment\n   # another\n", ()),
        ("pytest -q", ("pytest -q",)),
        ("  npm test  \n\nnpm run lint\r\n", ("npm test", "npm run lint")),
        ("pytest \\\n  -q \\\n  tests\nruff check", ("pytest   -q   tests", "ruff check")),
        ("echo '# no comment'", ("echo '# no comment'",)),
        ("echo a \\\n# b", ("echo a # b",)),
        ("echo a\\\\\necho b", ("echo a\\\\", "echo b")),
        ("echo a \\", ("echo a",)),
        ("\\\n", ()),
        ("printf '\u2028\x0c\x85' | check", ("printf '\u2028\x0c\x85' | check",)),
        ("pytest \\\r\n  -q\rruff", ("pytest   -q", "ruff")),
    ],
    ids=range(12),
)
def test_each_line_is_a_command(text: str, commands: tuple[str, ...]) -> None:
    assert parse_commands(text) == commands


def test_at_most_a_hundred_commands_may_be_there() -> None:
    commands = verify_commands("true\n" * 100, CHECKOUT)
    assert commands is not None
    assert len(commands.commands) == 100
    file = replace(CHECKOUT, verify_commands="true\n" * 101)
    with pytest.raises(InvalidVerifyCommands, match="there are 101 verify commands, from the file, and at most 100"):
        verify_commands("", file)


def test_the_parameter_counts_instead_of_the_file() -> None:
    assert verify_commands("", CHECKOUT) == VerifyCommands(("make a", "make b"), ("r.xml",), "the file")
    own = verify_commands("make c", CHECKOUT)
    assert own == VerifyCommands(("make c",), ("r.xml",), "verification.verify_commands")
    for nothing in ("#", ":", "# none\n\n :\n"):
        assert verify_commands(nothing, CHECKOUT) is None
        assert setup_command(nothing, Checkout("new", "main", "0" * 40, setup_command="make")) is None
        assert setup_command("", Checkout("new", "main", "0" * 40, setup_command=nothing)) is None
    assert verify_commands(":\nmake c", CHECKOUT) == VerifyCommands(
        (":", "make c"), ("r.xml",), "verification.verify_commands"
    )
    assert verify_commands("", Checkout("new", "main", "0" * 40)) is None


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("if test -e a; then", "syntax error: unexpected end of file"),
        ("for x in a b", "syntax error"),
        ("echo 'a", "unexpected EOF"),
        ("echo )", "syntax error near unexpected token `)'"),
        ("cat <<END", "here-document"),
        ("a &&", "syntax error"),
    ],
    ids=["if", "for", "quote", "parenthesis", "document", "and"],
)
def test_a_command_that_bash_cannot_read_is_refused(command: str, reason: str) -> None:
    with workspace() as directories, pytest.raises(InvalidVerifyCommands) as caught:
        check_syntax(directories, VerifyCommands(("true", command, "false"), (), "the file"))
    assert str(caught.value).startswith(f"bash cannot read the verify command {command!r}, from the file: ")
    assert reason in str(caught.value)


def test_commands_are_read_and_not_run(tmp_path: Path) -> None:
    commands = (
        f"touch {tmp_path}/a $(touch {tmp_path}/b)",
        "none-such",
        "printf '%s\\0\\n2\\n' 'ü' && [[ a =~ b ]]",
        "-e x",
    )
    with workspace() as directories:
        check_syntax(directories, VerifyCommands(commands, (), "the file"))
    assert list(tmp_path.iterdir()) == []
