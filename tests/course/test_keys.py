"""Keys and variants: everything follows from the key, and differs between students."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerdrain.course.keys import Key


def test_a_variant_is_pinned():
    variant = Key.practice().variant("a1", "s1")
    assert (variant.integer("n", 0, 999), variant.choice("c", "abcdef")) == PINNED
    assert variant.uniform("u", 0, 1) == pytest.approx(PINNED_UNIFORM)


PINNED, PINNED_UNIFORM = (251, "d"), 0.45360871016345783


@given(st.text(), st.integers(-5, 5), st.integers(0, 9))
def test_values_are_in_range_and_repeat(purpose, low, more):
    variant = Key.practice().variant("a1", "s1")
    found = variant.integer(purpose, low, low + more)
    assert low <= found <= low + more
    assert found == variant.integer(purpose, low, low + more)
    assert 2 <= variant.uniform(purpose, 2, 3) < 3
    assert np.array_equal(*(variant.generator(purpose).normal(size=4) for _ in range(2)))


def test_all_values_occur():
    variants = [Key.practice().variant("a1", f"s{n}") for n in range(200)]
    assert {v.integer("n", 1, 6) for v in variants} == set(range(1, 7))
    assert {v.choice("c", "abc") for v in variants} == set("abc")
    assert abs(np.mean([v.uniform("u", 0, 1) for v in variants]) - 0.5) < 0.1


def test_students_assignments_keys_and_purposes_differ():
    key = Key.practice()
    variants = [
        *(key.variant("a1", "s1"), key.variant("a1", "s2"), key.variant("a2", "s1")),
        Key(b"other").variant("a1", "s1"),
    ]
    assert len({v.uniform("u", 0, 1) for v in variants}) == 4
    assert variants[0].uniform("u", 0, 1) != variants[0].uniform("v", 0, 1)


def test_no_text_shows_the_secret():
    key = Key.new()
    shown = f"{key!r} {key.name} {key.variant('a1', 's1')!r}"
    assert key.secret.hex() not in shown and repr(key.secret) not in shown
    assert not key.is_practice and Key.practice().is_practice
