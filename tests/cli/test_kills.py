"""Commands that are killed at any moment: nothing is half written or lost, and a second run ends.

NERDRAIN_KILLS sets how often each command is killed.
"""

import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from training_help import make_photos, recipe_file

import nerdrain
from nerdrain.data.images import save_image
from nerdrain.files import part_names
from nerdrain.training.curves import read_log

if sys.platform == "win32":
    pytest.skip("Windows has neither forkserver nor SIGKILL", allow_module_level=True)

KILLS = int(os.environ.get("NERDRAIN_KILLS", "6"))
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
FOREIGN = {"mine.txt": b"precious", ".mine.part": b"x", "input/movie.part": b"y", "samples/z": b"z"}
Files = dict[str, bytes]


def command(arguments: list[str]) -> None:
    """Run a command in this process, without its output."""
    from nerdrain.cli import app

    torch.set_num_threads(1)
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    app(arguments)


@pytest.fixture(scope="module")
def start() -> Callable[..., multiprocessing.Process]:
    """Start a command in a process of its own, which has imported the package already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["nerdrain.cli", "nerdrain.cli.rain", "nerdrain.training.loop", "torch._dynamo"]
    )

    def start_command(*arguments: object) -> multiprocessing.Process:
        process = context.Process(target=command, args=([*map(str, arguments)],), daemon=True)
        process.start()
        return process

    return start_command


def finish(process: multiprocessing.Process) -> int:
    process.join(300)
    assert process.exitcode is not None, "the command hangs"
    return process.exitcode


def contents(folder: Path) -> Files:
    """The files of a folder, as bytes by their paths in it."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def kill_and_finish(
    start: Callable[..., multiprocessing.Process],
    folder: Path,
    arguments: tuple[object, ...],
    go_on: str,
    check_killed: Callable[[Path], None],
    check_finished: Callable[[Path, Path], None],
) -> None:
    """Kill a command `KILLS` times, each in a new folder, check, run it again, and check."""
    whole = folder / "whole"
    finish(start("--version"))  # starts the server that imports the package
    begun = time.monotonic()
    assert finish(start(*arguments, "-o", whole)) == 0
    duration = time.monotonic() - begun
    chance, interrupted = random.Random(0), 0
    for number in range(KILLS):
        out = folder / f"killed-{number}"
        for name, content in FOREIGN.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(content)
        process = start(*arguments, "-o", out)
        time.sleep(chance.uniform(0, duration))
        if process.is_alive():
            with suppress(ProcessLookupError):  # it ended just now
                os.kill(process.pid, SIGNALS[number % len(SIGNALS)])
        hit = finish(process) != 0
        interrupted += hit
        duration *= 1.1 if hit else 0.7  # the machine may be faster or slower than at first
        check_killed(out)
        assert FOREIGN.items() <= contents(out).items()
        assert finish(start(*arguments, "-o", out, go_on)) == 0
        assert FOREIGN.items() <= contents(out).items()
        for name in FOREIGN:
            (out / name).unlink()
        parts = [part for path in (out, *out.iterdir()) for part in part_names(path)]
        assert not any(part.exists() for part in parts)
        check_finished(out, whole)
    print(f"{interrupted} of {KILLS} were interrupted, within about {duration:.2f} s")
    assert interrupted >= KILLS // 3


def test_rain(tmp_path, start):
    rng = np.random.default_rng(0)
    for number in range(8):
        save_image(rng.uniform(size=(200, 200, 3)), tmp_path / "clean" / f"{number}.png")

    def check_killed(out: Path) -> None:
        expected, found = contents(tmp_path / "whole"), contents(out)
        for name in expected.keys() & found.keys():
            assert found[name] == expected[name], f"{name} is half written"
            if name.startswith("input/"):
                assert name.replace("input", "target") in found

    def check_finished(out: Path, whole: Path) -> None:
        assert contents(out) == contents(whole)

    arguments = ("rain", tmp_path / "clean")
    kill_and_finish(start, tmp_path, arguments, "--skip-existing", check_killed, check_finished)


def test_train(tmp_path, start):
    file = recipe_file(
        tmp_path, make_photos(tmp_path / "photos", 5), patch_size=16, max_steps=5, val_every=2,
        log_every=1, save_every_minutes=0, ema_decay=0.9,
    )  # fmt: skip

    def check_killed(out: Path) -> None:
        for state in (out / "checkpoints").glob("*.pt"):
            torch.load(state, weights_only=True)
        if (out / "model.safetensors").exists():
            nerdrain.load_model(out)
        if (out / "log.csv").exists():
            read_log(out)

    def check_finished(out: Path, whole: Path) -> None:
        assert contents(out).keys() == contents(whole).keys()
        for name in ("recipe.yaml", "samples/step-000000005.jpg"):
            assert (out / name).read_bytes() == (whole / name).read_bytes(), name
        last = "checkpoints/step-000000005.pt"
        got, expected = (
            torch.load(run / last, weights_only=True)
            | {"saved": nerdrain.load_model(run).state_dict()}
            for run in (out, whole)
        )
        for part in ("model", "ema", "saved"):
            for name, value in got[part].items():
                assert torch.equal(value, expected[part][name]), name

    arguments = ("train", file, "--device", "cpu")
    kill_and_finish(start, tmp_path, arguments, "--resume", check_killed, check_finished)
