"""The sentences of `compare`, the form of answers, and how calls share processes."""

import numpy as np
import pytest
import torch

from nerdrain.course import exchange
from nerdrain.course.items import Answer, Call, all_or_nothing, compare
from nerdrain.course.sandbox import groups


@pytest.mark.parametrize(
    ("value", "expected", "sentence"),
    [
        (np.zeros(3), np.zeros(3), None),
        (np.zeros(3), np.zeros((3, 1)), "the shape is (3,), but must be (3, 1)."),
        (np.zeros(3, np.float32), np.zeros(3), "the dtype is float32, but must be float64."),
        ([1.0], np.zeros(1), "the result is a list and not a tensor."),
        (np.array([0, np.nan]), np.zeros(2), "the value at index (1,) is not finite."),
        (np.eye(2), np.zeros((2, 2)), "2 of 4 values are wrong; the first is at index (0, 0)."),
        (Answer(np.zeros(2)), np.zeros(2), None),
        (Answer(error="it failed."), np.zeros(2), "it failed."),
        (1.05, 1, None),
        (np.array([1.0]), 1, None),
        (2, 1, "the number is wrong."),
        (True, 1, "the result is a bool and not a number."),
        (float("inf"), 1, "the result is not a finite number."),
        (
            np.array([True, False]),
            np.array([True, True]),
            "1 of 2 values are wrong; the first is at index (1,).",
        ),
    ],
)
def test_compare(value, expected, sentence):
    assert compare(value, expected, 0.1) == sentence


def test_feedback_holds_no_expected_value():
    expected = np.random.default_rng(0).uniform(1, 9, 5)
    for value in (np.zeros(5), np.zeros(4), [0.0], None):
        text = all_or_nothing(compare(value, expected, 0.1)).feedback
        assert text and not any(str(number)[:4] in text for number in expected)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32", "complex64"])
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_arrays_and_tensors_survive_the_exchange(tmp_path, dtype, shape):
    array = np.asarray(np.random.default_rng(0).normal(size=shape) * 9).astype(dtype)
    value = {"a": [array, torch.from_numpy(array.T), None, 1, 0.5, "x"], 2: (True,)}
    exchange.write(tmp_path, "v", value)
    found = exchange.read(tmp_path, "v", 10**6)
    assert found["a"][2:] == [None, 1, 0.5, "x"] and found[2] == [True]
    for one, other in zip(found["a"][:2], (array, array.T), strict=True):
        assert one.dtype == array.dtype and np.array_equal(one, other)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (torch.zeros(1, dtype=torch.bfloat16), "bfloat16"),
        (torch.eye(2).to_sparse(), "sparse"),
        (np.array(["x"]), "dtype <U1"),
        (np.array([object()]), "dtype object"),
        ({1, 2}, "a set is not"),
    ],
)
def test_other_values_are_refused(value, reason):
    with pytest.raises(TypeError, match=reason):
        exchange.flatten(value, {})


def test_calls_with_files_or_tests_have_their_own_process():
    plain, files, tests = Call("m:f"), Call("m:f", files={"a": b""}), Call(tests="t.py")
    assert groups([plain, plain, files, plain, tests, tests]) == [
        *([plain, plain], [files], [plain], [tests], [tests]),
    ]


def test_a_worker_returns_values_gradients_and_test_results(launcher):
    from nerdrain.course.assignment import Limits

    files = {
        "m.py": b"def f(x, y):\n    return {'z': (x * y).sum(), 'n': x.detach()}\n",
        "t.py": b"import pytest\ndef test_a(): pass\ndef test_b(): assert 0\n"
        b"@pytest.fixture\ndef broken(): 1 / 0\ndef test_c(broken): pass\n",
        "bad.py": b"import nothing_of_this_name\n",
    }
    x, y = np.arange(3.0), np.ones(3)
    call = Call("m:f", {"x": x, "y": y}, gradients=["x", "y"])
    found, tests, bad = launcher.run(
        [call, Call(tests="t.py"), Call(tests="bad.py")], files, Limits(seconds=30)
    )
    assert found.error is None and found.value["z"] == 3
    assert np.array_equal(found.gradients["x"], y) and np.array_equal(found.gradients["y"], x)
    assert tests.value == {"passed": ["test_a"], "failed": ["test_b", "test_c"], "errors": 0}
    assert bad.value == {"passed": [], "failed": [], "errors": 1}
