"""Damaged files: each is read as it was, or refused in one sentence, in little time and memory.

``pytest tests/fuzz --fuzz=full`` reads them all; its table is printed at the end.
"""

import random
from pathlib import Path

import pytest
from fuzz import Result, as_row, fuzz, judge
from kinds import KINDS, Kind
from mutate import MUTATORS, mutate

from nerdrain.errors import NerdrainError


@pytest.mark.parametrize("name", KINDS)
def test_damaged_files(
    name: str, tmp_path: Path, request: pytest.FixtureRequest, record_property
) -> None:
    kind = KINDS[name]
    count = kind.full if request.config.getoption("--fuzz") == "full" else kind.share
    result = fuzz(name, count, tmp_path)
    record_property("fuzz", as_row(result))
    assert not result.problems, "\n".join(result.problems)
    assert result.mutants == count == result.equal + result.other + result.refused
    assert result.refused > 0


@pytest.mark.parametrize("mutator", MUTATORS)
@pytest.mark.parametrize("content", [b"", b"1", bytes(range(256)) * 40])
def test_mutators_change_bytes_and_repeat(mutator, content: bytes) -> None:
    def changed(seed: int) -> bytes:
        copy = bytearray(content)
        mutator(random.Random(seed), copy)
        return bytes(copy)

    results = [changed(seed) for seed in range(20)]
    assert results == [changed(seed) for seed in range(20)]
    assert len(content) < 2 or any(result != content for result in results)


def test_a_seed_gives_one_mutant() -> None:
    mutants = [mutate(random.Random(seed), b"a: 1\n" * 50, [b"&x "]) for seed in range(30)]
    assert mutants == [mutate(random.Random(seed), b"a: 1\n" * 50, [b"&x "]) for seed in range(30)]
    assert len(set(mutants)) > 25


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (NerdrainError("a: wrong; give b."), "refused"),
        (NerdrainError("two\nlines."), "not a sentence: 'two\\nlines.'"),
        (NerdrainError("\x1b[31mred."), "not a sentence: '\\x1b[31mred.'"),
        (NerdrainError("long " * 1000 + "."), "not a sentence: "),
        (TypeError("x"), "TypeError: x"),
        (None, "other"),
    ],
)
def test_the_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception | None, verdict: str
) -> None:
    def read(path: Path) -> int:
        if error is not None:
            raise error
        return 1

    monkeypatch.chdir(tmp_path)
    path = Path("mutant.x")
    path.touch()
    kind = Kind(".x", list, read, verified=True)
    assert judge(kind, path, 2).startswith(verdict)
    assert error or judge(kind, path, 1) == "equal"
    Path("the-code-ran").mkdir()
    assert judge(kind, path, 2) == "files: ['mutant.x', 'the-code-ran']"


def test_broken_promises_are_counted() -> None:
    good = {"seed": 1, "verdict": "equal", "seconds": 1.0, "mib": 300.0}
    for change, problem in (
        ({}, None),
        ({"verdict": "other"}, "1: read, but something else than the original"),
        ({"verdict": "KeyError: 1"}, "1: KeyError: 1"),
        ({"seconds": 11.0}, "1: 11.0 s, 300 MiB"),
        ({"mib": 3000.0}, "1: 1.0 s, 3000 MiB"),
    ):
        result = Result("x")
        result.add(good | change, verified=True)
        assert result.problems == ([problem] if problem else [])
