"""The parameter group `verification`: its texts of commands are checked before the run, each with its own error."""

import pytest

from flows import errors
from flows.parameters.environment import read
from flows.parameters.verification import MAX_BYTES, Verification

ERRORS = {"setup_command": errors.InvalidSetupCommand, "verify_commands": errors.InvalidVerifyCommands}


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * (MAX_BYTES + 1)], ids=["NUL", "surrogate", "long"])
def test_a_text_that_no_shell_can_run_is_refused(name: str, text: str) -> None:
    with pytest.raises(ERRORS[name], match=rf"^verification\.{name} "):
        Verification(**{name: text})


@pytest.mark.parametrize("name", ERRORS)
def test_the_longest_text_is_accepted(name: str) -> None:
    assert len(getattr(Verification(**{name: "x" * MAX_BYTES}), name)) == MAX_BYTES


def test_the_variables_are_the_names_in_capitals() -> None:
    variables = {"VERIFY_COMMANDS": "npm test\nnpm run lint\n", "MAX_REPAIRS": "0", "ON_VERIFICATION_FAILURE": "push"}
    expected = Verification(verify_commands="npm test\nnpm run lint", max_repairs=0, on_verification_failure="push")
    assert read({"REPO_URL": "https://example.com/a/b", **variables})["verification"] == expected
