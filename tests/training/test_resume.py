"""Killed at any moment and resumed, a run ends with bit-identical weights: twenty of twenty."""

import multiprocessing
import os
import random
import signal
import sys
import threading
from pathlib import Path

import pytest
import torch
from training_help import make_photos, recipe_file

STEPS = 9
KILLS = 20

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has neither forkserver nor SIGKILL"
)


def train_in_this_process(file: Path, run: Path, kill_step: int, delay: float) -> None:
    """Train; where `kill_step` is not negative, SIGKILL comes `delay` seconds into that step."""
    from nerdrain.training import loop as training

    torch.set_num_threads(1)
    rate = training.set_lr

    def killing(optimizer: object, step: int, data: object) -> float:
        if step == kill_step:
            kill = (os.getpid(), signal.SIGKILL)
            threading.Timer(delay, os.kill, kill).start() if delay else os.kill(*kill)
        return rate(optimizer, step, data)  # type: ignore[arg-type]

    training.set_lr = killing  # type: ignore[assignment]
    training.train(file, {}, run, "cpu", resume=True)


def final(run: Path) -> dict[str, torch.Tensor]:
    state = torch.load(run / "checkpoints" / f"step-{STEPS:09d}.pt", weights_only=True)
    return {
        **{f"model.{n}": t for n, t in state["model"].items()},
        **{f"ema.{n}": t for n, t in state["ema"].items()},
        **{
            f"optimizer.{i}.{n}": torch.as_tensor(v)
            for i, moments in state["optimizer"]["state"].items()
            for n, v in moments.items()
        },
    }


def test_a_killed_run_ends_like_one_that_was_not(tmp_path: Path) -> None:
    """Kills fall at a step's beginning and within it: while computing, validating or saving.

    Saved after each, every second or every third step or so, the run repeats what was lost.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["nerdrain.training.loop", "torch._dynamo"])
    photos = make_photos(tmp_path / "photos", 5)
    file = recipe_file(
        tmp_path, photos, max_steps=STEPS, patch_size=16, batch_size=2, ema_decay=0.9,
        grad_clip=1.0, max_loss_ratio=10.0, val_every=4, log_every=1,
        save_every_minutes=0, keep_checkpoints=2,
    )  # fmt: skip

    def run_once(run: Path, kill_step: int = -1, delay: float = 0.0) -> int:
        process = context.Process(
            target=train_in_this_process, args=(file, run, kill_step, delay), daemon=True
        )
        process.start()
        process.join(300)
        assert process.exitcode is not None, "the run hangs"
        return process.exitcode

    assert run_once(tmp_path / "whole") == 0
    expected = final(tmp_path / "whole")
    chance = random.Random(0)
    same = killed = 0
    for number in range(KILLS):
        run = tmp_path / f"killed-{number}"
        delay = 0.0 if number % 2 else chance.uniform(0, 0.1)
        code = run_once(run, chance.randrange(STEPS), delay)
        killed += code == -signal.SIGKILL
        if number % 3 == 0:  # nothing was saved of the last step but one
            for state in sorted((run / "checkpoints").glob("*.pt"))[-1:]:
                state.unlink()
        assert run_once(run) == 0
        got = final(run)
        assert got.keys() == expected.keys()
        same += all(torch.equal(got[name], expected[name]) for name in expected)
    assert killed >= KILLS - 2  # a late kill in the last step may find the run at its end
    assert same == KILLS
