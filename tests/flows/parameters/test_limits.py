"""The group `limits`: every limit is a number that is not negative."""

import pytest
from pydantic import ValidationError

from flows.parameters.limits import Limits


@pytest.mark.parametrize("name", sorted(Limits.model_fields))
@pytest.mark.parametrize("value", [-1, float("nan"), "many", None])
def test_a_limit_is_a_number_from_zero(name: str, value: object) -> None:
    assert getattr(Limits.model_validate({name: 0}), name) == 0
    with pytest.raises(ValidationError, match=name):
        Limits.model_validate({name: value})


@pytest.mark.parametrize("tokens", [1, 200, 99_999])
def test_a_context_that_claude_code_would_refuse_or_read_as_thousands_is_refused(tokens: int) -> None:
    with pytest.raises(ValidationError, match="at least 100000 tokens, or 0"):
        Limits(context_tokens=tokens)
    assert Limits(context_tokens=100_000).context_tokens == 100_000


def test_an_unknown_limit_is_refused() -> None:
    with pytest.raises(ValidationError, match="max_tokens"):
        Limits.model_validate({"max_tokens": 1})
