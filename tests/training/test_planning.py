"""The plan of a training run."""

from pathlib import Path

import pytest
from training_help import make_photos, small_recipe

from nerdrain.training.planning import plan_run


def test_a_plan_adds_up_its_parts(tmp_path: Path) -> None:
    parts = [{"share": 0.25, "patch": 16, "batch": 2}, {"share": 0.75, "patch": 32, "batch": 1}]
    photos = str(make_photos(tmp_path / "photos"))
    plan = plan_run(small_recipe(photos=photos, steps=8, progressive=parts), "cpu", repeat=1)
    assert [(p.patch, p.batch, p.steps) for p in plan.parts] == [(16, 2, 2), (32, 1, 6)]
    assert plan.hours == pytest.approx(sum(p.steps * p.seconds for p in plan.parts) / 3600)
    assert plan.memory > 0
