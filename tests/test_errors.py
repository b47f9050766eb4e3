"""errors.py: mistakes in settings become one sentence with the name, the value and the fix."""

from typing import Any, Literal

import pytest
from pydantic import Field, ValidationError

from nerdrain.errors import NerdrainError, Settings


class Inner(Settings):
    share: float = Field(1.0, gt=0)


class Outer(Settings):
    count: int = Field(1, ge=1)
    kind: Literal["a", "b"] = "a"
    inner: Inner = Inner()
    parts: tuple[Inner, ...] = Field((), strict=False)
    values: Any = None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 0}, "count=0: it should be greater than or equal to 1."),
        ({"count": "3"}, "count='3': it should be a valid integer."),
        ({"kind": "c"}, "kind='c': it should be 'a' or 'b'."),
        ({"kount": 3}, "there is no setting kount; did you mean count."),
        (
            {"zzz": 3},
            "there is no setting zzz; the settings are count, kind, inner, parts, values.",
        ),
        ({"count": 0, "kind": "c", "kount": 3}, "there is no setting kount; did you mean count."),
        ({"parts": 3}, "parts=3: it should be a list."),
        ({"inner": 3}, "inner=3: it should be a mapping of keys to values."),
        ({"inner": {"share": 0}}, "inner: share=0: it should be greater than 0."),
        ({"inner": {"shar": 1}}, "inner: there is no setting shar; did you mean share."),
        ({"parts": [{}, {"share": "x"}]}, "parts[1]: share='x': it should be a valid number."),
    ],
)
def test_a_mistake_is_one_sentence(values: dict[str, Any], message: str) -> None:
    with pytest.raises(NerdrainError) as caught:
        Outer(**values)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "value",
    [10**5000, "x" * 10**6, [[[[[0] * 99] * 99] * 99] * 99] * 99, {"k" * 999: "v" * 999}],
    ids=["digits", "letters", "nested", "names"],
)
def test_a_message_is_short_whatever_the_value(value: Any) -> None:
    with pytest.raises(NerdrainError) as caught:
        Outer(kind=value)
    assert len(str(caught.value)) < 150
    with pytest.raises(NerdrainError) as caught:
        Outer(**{"k" * 10**6: 1})
    assert len(str(caught.value)) < 150


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Outer().count = 2  # type: ignore[misc]
