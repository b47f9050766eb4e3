"""Ablations: the runs that a table needs, what they measure, and what their seeds support."""

import json
import math
import pickle
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from training_help import SMALL

from nerdrain.errors import NerdrainError, Stopped
from nerdrain.evaluation.paper import ABLATIONS
from nerdrain.model.network import NeRDRain
from nerdrain.training import ablation
from nerdrain.training.ablation import (
    Result,
    compare,
    measure,
    plan_ablation,
    read_results,
    run_ablation,
    table_rows,
    write_results,
)
from nerdrain.training.recipes import RainStyles, read_recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    values = {
        "overrides": SMALL,
        "max_steps": 2,
        "patch_size": 16,
        "batch_size": 1,
        "val_every": 100,
    }
    file.write_text(json.dumps(values), encoding="utf-8")
    return file


def results(table: int, **psnrs: list[float]) -> list[Result]:
    return [
        Result(table=table, row=row, fidelity="paper", seed=seed, psnr=psnr, minutes=1.0)
        for row, values in psnrs.items()
        for seed, psnr in enumerate(values)
    ]


@pytest.mark.parametrize("table", ABLATIONS)
def test_every_row_runs_in_both_fidelities_with_every_seed(table: int) -> None:
    runs = plan_ablation(table, "small", 2)
    rows = ABLATIONS[table].trainable
    assert len({run.name for run in runs}) == len(runs) == len(rows) * 2 * 2
    assert {run.fidelity for run in runs} == {"paper", "released"}
    for run in runs:
        for name, value in (run.variant.changes or {}).items():
            assert getattr(run.recipe.config, name) == value
        assert run.recipe.rain_style == RainStyles(**{ABLATIONS[table].style: 1})


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(NerdrainError, match="no ablation table 2; choose one of 3, 4, 5, 6"):
        plan_ablation(2, "small", 3)
    with pytest.raises(NerdrainError, match="0 seeds: give 1 or more"):
        plan_ablation(5, "small", 0)


def test_an_ablation_runs_measures_and_goes_on(
    tmp_path: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablation, "photo_names", lambda split: ["kingfisher"])
    monkeypatch.setattr("nerdrain.training.batches.photo_names", lambda split: ["cat", "dog"])
    runs = [run for run in plan_ablation(5, recipe, 1) if run.fidelity == "paper"]
    out = tmp_path / "out"
    some = list(run_ablation(runs, out))
    assert [r.row for r in some] == ["none", "concat", "bfpu"]
    assert all(10 < r.psnr < 40 for r in some)
    written = read_results(out / "results.csv")
    assert [r.row for r in written] == ["bfpu", "concat", "none"]
    again = list(run_ablation(runs, out))  # nothing is left to train
    assert [r.psnr for r in again] == [r.psnr for r in some]


def test_runs_at_once_are_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Future:
        def __init__(self, run: ablation.Run) -> None:
            self.run = run

        def result(self) -> Result:
            return results(5, **{self.run.name: [30.0]})[0]

    class Pool:
        def __init__(self, jobs: int, mp_context: object) -> None:
            assert jobs == 2

        def __enter__(self) -> "Pool":
            return self

        def __exit__(self, *_: object) -> None: ...

        def submit(self, function, *arguments):  # type: ignore[no-untyped-def]
            assert arguments == (tmp_path, 1, "cpu")
            return Future(function.__self__)

    def completed(running: set, **_: object) -> tuple[set, set]:
        assert len(running) <= 2  # a stopped ablation begins no more
        done = min(running, key=lambda future: future.run.name)
        return {done}, running - {done}

    monkeypatch.setattr(ablation, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(ablation, "wait", completed)
    runs = plan_ablation(5, "small", 1)
    assert len(list(run_ablation(runs, tmp_path, jobs=2, device="cpu"))) == 6


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (pickle.loads(pickle.dumps(Stopped("x", 2))), "stopped, and saved in"),  # as from a worker
        (BrokenProcessPool("x"), "lower --jobs"),
    ],
)
def test_a_stopped_ablation_says_how_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(ablation.Run, "finish", fails)
    with pytest.raises(NerdrainError, match=message) as caught:
        list(run_ablation(plan_ablation(5, "small", 1), tmp_path))
    if isinstance(error, Stopped):
        assert isinstance(caught.value, Stopped) and caught.value.number == 2


def test_a_network_that_does_nothing_gains_nothing() -> None:
    """With its output convolutions at zero, a network returns the rainy image."""
    model = NeRDRain(read_recipe("small", {"overrides.width": "4"}).config).eval()
    for scale in model.scales.values():
        scale.output.weight.data.zero_()
    from nerdrain.data.photos import load_photo, photo_names
    from nerdrain.data.rain import add_rain
    from nerdrain.evaluation.metrics import psnr_matlab_y
    from nerdrain.training.batches import middle

    expected = []
    for seed, name in enumerate(photo_names("test")):
        clean = middle(load_photo(name))
        expected.append(psnr_matlab_y(add_rain(clean, "heavy", seed)[0], clean))
    assert measure(model, "heavy") == pytest.approx(np.mean(expected), abs=1e-6)


def test_a_comparison_is_a_paired_t_interval() -> None:
    ours, mine = [30.0, 31.0, 32.5], [29.5, 30.2, 32.1]
    c = compare(results(5, bfpu=ours, none=mine), ABLATIONS[5], "none", "paper")
    interval = stats.ttest_rel(mine, ours).confidence_interval(0.95)
    assert c.gap == pytest.approx(-0.5666667)
    assert (c.gap - c.half_width, c.gap + c.half_width) == pytest.approx(interval)
    assert (c.mean, c.spread) == pytest.approx((np.mean(mine), np.std(mine, ddof=1)))
    assert c.significant == (stats.ttest_rel(mine, ours).pvalue < 0.05)
    one = compare(results(5, bfpu=[30.0], none=[10.0]), ABLATIONS[5], "none", "paper")
    assert math.isnan(one.half_width)
    assert not one.significant  # one seed supports nothing


def test_the_table_says_which_gaps_are_not_significant() -> None:
    some = results(5, bfpu=[30.0, 31.0, 32.0], none=[29.0, 30.01, 31.0], concat=[30.1, 30.9, 32.0])
    heading, none, concat, bfpu = table_rows(some, 5)
    assert heading[2:] == ["paper, Rain200H", 'here, "paper"', 'here, "released"']
    assert none == ["none", "no feedback", "32.30", "30.00 ± 1.00 (-1.00 ± 0.01)", "-"]
    assert concat[3].endswith("(+0.00 ± 0.25, not significant)")
    assert bfpu[3] == "31.00 ± 1.00"
    mprnet = table_rows([], 6)[1]
    assert mprnet == ["mprnet", "MPRNet", "39.47", "-", "-"]


def test_results_travel_through_a_file(tmp_path: Path) -> None:
    some = results(5, bfpu=[30.25, 31.0], none=[29.0])
    write_results(some, tmp_path / "r.csv")
    file = tmp_path / "r.csv"
    file.write_text("# a comment\n" + file.read_text(encoding="utf-8"), encoding="utf-8")
    assert read_results(file) == some


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_steps: 1\noverrides: {feedback: concat}", "the rows of table 5 set feedback"),
        ("max_steps: 1\noverrides: {fidelity: paper}", "the rows of table 5 set fidelity"),
        ("epochs: 1", "leave out pairs and epochs"),
        ("max_steps: 1\npairs: somewhere", "leave out pairs and epochs"),
    ],
)
def test_a_base_that_would_change_the_rows_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "base.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(NerdrainError, match=message):
        plan_ablation(5, file, 1)
