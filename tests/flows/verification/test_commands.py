"""Verify commands as text: one on each line."""

from dataclasses import replace

import pytest

from flows.errors import InvalidVerifyCommands
from flows.repository.clone import Checkout
from flows.verification.commands import VerifyCommands, parse_commands, verify_commands

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
    assert verify_commands("#", CHECKOUT) is None
    assert verify_commands("", Checkout("new", "main", "0" * 40)) is None
