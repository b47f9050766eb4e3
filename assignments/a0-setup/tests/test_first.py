"""Public tests of assignment 0. The grader has more."""

import first
import torch


def test_versions_are_texts():
    found = first.versions()
    assert set(found) == {"python", "torch", "nerdrain"}
    assert all(isinstance(text, str) and text[0].isdigit() for text in found.values())


def test_positions_have_shape_and_dtype():
    for size in (1, 4, 7):
        found = first.positions(size)
        assert found.shape == (size,)
        assert found.dtype == torch.float64


def test_positions_are_in_the_interval_at_equal_distances():
    found = first.positions(5)
    assert first.VARIANT["low"] < found.min() and found.max() < first.VARIANT["high"]
    steps = found.diff()
    assert torch.allclose(steps, steps[0].expand_as(steps))


def test_encoding_has_shape_and_dtype():
    found = first.encoding(torch.zeros(3, dtype=torch.float64), 4)
    assert found.shape == (3, 8)
    assert found.dtype == torch.float64


def test_sine_and_cosine_of_a_frequency_are_neighbours():
    found = first.encoding(torch.linspace(-1, 1, 9, dtype=torch.float64), 3).reshape(9, 3, 2)
    assert torch.allclose(found.square().sum(-1), torch.ones(9, 3, dtype=torch.float64))
