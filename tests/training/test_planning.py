"""The plan of a training run."""

from pathlib import Path

import pytest
from training_help import make_photos, small_recipe

from nerdrain.training.planning import plan_run


def test_a_plan_adds_up_its_stages(tmp_path: Path) -> None:
    stages = [
        {"fraction": 0.25, "patch_size": 16, "batch_size": 2},
        {"fraction": 0.75, "patch_size": 32, "batch_size": 1},
    ]
    photos = str(make_photos(tmp_path / "photos"))
    plan = plan_run(small_recipe(photos=photos, max_steps=8, progressive=stages), "cpu", repeat=1)
    assert [(p.patch_size, p.batch_size, p.steps) for p in plan.stages] == [(16, 2, 2), (32, 1, 6)]
    assert plan.hours == pytest.approx(sum(p.steps * p.seconds for p in plan.stages) / 3600)
    assert plan.memory > 0
