"""Two processes train like one with the same global batch: Accelerate over gloo, on the CPU."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training_help import make_photos, recipe_file

from nerdrain.training.batches import TrainingData
from nerdrain.training.loop import train
from nerdrain.training.recipes import read_recipe

STEPS = 20

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available() or not torch.distributed.is_gloo_available(),
    reason="this torch has no gloo",
)


def losses(run: Path) -> list[float]:
    with (run / "log.csv").open(encoding="utf-8") as lines:
        return [float(row["total"]) for row in csv.DictReader(lines)]


def test_two_processes_against_one(tmp_path: Path) -> None:
    """20 steps at the paper's rate, in the fidelity that has a layer without a gradient.

    At much larger rates the rounding of sums in another order grows from step to step.
    """
    photos = make_photos(tmp_path / "photos")
    unets = {"width": 4, "blocks": [1, 1, 1], "inr_hidden": 8, "unets": [0, 1, 3]}
    file = recipe_file(
        tmp_path, photos, overrides=unets | {"fidelity": "released"}, patch_size=16, batch_size=4,
        max_steps=STEPS, lr=1e-4, ema_decay=0.9, grad_clip=1.0, log_every=1, val_every=STEPS,
    )  # fmt: skip
    one = train(file, {}, tmp_path / "one", "cpu")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
            *("-m", "nerdrain", "train", str(file), "-o", str(tmp_path / "two"), "--device", "cpu"),
        ],
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("The run is in") == 1  # one of them speaks
    assert losses(tmp_path / "two") == pytest.approx(losses(one), rel=1e-5)
    assert len(losses(one)) == STEPS
    last = [
        [*csv.DictReader((run / "log.csv").read_text(encoding="utf-8").splitlines())][-1]
        for run in (one, tmp_path / "two")
    ]
    assert float(last[1]["psnr_mean"]) == pytest.approx(float(last[0]["psnr_mean"]), abs=2e-3)


def test_each_sample_is_seen_once_an_epoch_by_one_of_two(tmp_path: Path) -> None:
    file = recipe_file(
        tmp_path, make_photos(tmp_path / "photos"), patch_size=8, batch_size=2, max_steps=14
    )
    data = TrainingData(read_recipe(file))
    assert data.size == 7
    (stage,) = data.stages
    stream = data.stream(stage.patch_size)
    for epoch in range(4):  # seven steps of two are two epochs: batches go on into the next
        seen = [
            stream.place(n)
            for step in range(14)
            for rank in range(2)
            for n in stage.samples(step, rank, 2)
        ]
        assert sorted(i for e, i in seen if e == epoch) == list(range(7))
