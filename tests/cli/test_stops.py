"""`nerdrain derain FOLDER` is stopped at random moments, and reads a thousand photographs.

`make test` tries a few. NERDRAIN_KILLS=100 tries a hundred signals, and NERDRAIN_SOAK=1000 a
thousand photographs with the shipped model; run pytest with -s to see the table.
"""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nerdrain.__main__ import main

KILLS = int(os.environ.get("NERDRAIN_KILLS", "6"))
SOAK = int(os.environ.get("NERDRAIN_SOAK", "0"))

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it uses signals and /proc")


def write_photos(folder: Path, count: int) -> None:
    rng = np.random.default_rng(9)
    folder.mkdir()
    for k in range(count):
        pixels = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k:04}.png")


def work(arguments: tuple[object, ...], log: Path) -> None:
    """The command in a fork of this process, which has imported torch already."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["nerdrain", "derain", *map(str, arguments)]
    sys.stdout = sys.stderr = log.open("w")
    main()


def start(log: Path, *arguments: object) -> BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=work, args=(arguments, log))
    process.start()
    return process


def finish(process: BaseProcess) -> int:
    process.join(60)
    assert process.exitcode is not None, "it does not end"
    return process.exitcode


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_stopped_at_random_moments(tmp_path, model):
    rng = random.Random(0)
    write_photos(tmp_path / "in", 40)
    log = tmp_path / "log"
    arguments = (log, tmp_path / "in", "--model", model, "--skip-existing", "-o")
    assert finish(start(*arguments, tmp_path / "whole")) == 0, log.read_text()
    expected = contents(tmp_path / "whole")
    assert len(expected) == 40
    mine = {"mine.txt": b"mine", ".mine.png.1.part": b"mine"}
    stopped, rounds, leftovers = 0, 0, 0
    while stopped < KILLS:
        out = tmp_path / f"out{rounds}"
        if not out.exists():
            out.mkdir()
            for name, content in mine.items():
                (out / name).write_bytes(content)
        process = start(*arguments, out)
        before = len(list(out.iterdir()))
        while process.is_alive() and len(list(out.iterdir())) == before:
            time.sleep(0.001)  # until it writes
        time.sleep(rng.uniform(0, 0.1))
        stop = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[stopped % 3]
        with suppress(ProcessLookupError):  # it has ended, and is counted below
            os.kill(process.pid, stop)
        code = finish(process)
        found = contents(out)
        if code == 0:  # it was faster
            assert found == expected | mine
            rounds += 1
            continue
        stopped += 1
        assert code == (-stop if stop == signal.SIGKILL else 128 + stop), log.read_text()
        assert "Traceback" not in log.read_text()
        partial = {name for name in found if name.startswith(".nerdrain-")}
        leftovers += len(partial)
        finished = {name: content for name, content in found.items() if name not in partial}
        assert mine.items() <= finished.items() <= (expected | mine).items()
    assert finish(start(*arguments, out)) == 0
    assert contents(out) == expected | mine
    print(f"\n{stopped} stops, {rounds} times finished in spite of them, {leftovers} leftovers")


def memory_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def test_memory_stays_flat_over_many_photos(tmp_path, model):
    count = SOAK or 100
    write_photos(tmp_path / "in", count)
    name = "nerd-rain-tiny" if SOAK else model
    command = [sys.executable, "-m", "nerdrain", "derain", str(tmp_path / "in")]
    command += ["--model", str(name), "-o", str(tmp_path / "out")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=-1, stderr=-1, text=True, env=environment)
    marks, seen = [count // 10, count - 1], []
    while process.poll() is None and len(seen) < 2:
        done = len(list((tmp_path / "out").glob("*.png"))) if (tmp_path / "out").is_dir() else 0
        if done >= marks[len(seen)]:
            seen.append(memory_mib(process.pid))
        time.sleep(0.002)
    _, errors = process.communicate(timeout=1800)
    assert process.returncode == 0, errors
    if len(seen) < 2:
        pytest.skip("this machine is too fast to measure between two photographs")
    print(f"\nresident memory: {seen[0]:.0f} MiB at {marks[0]}, {seen[1]:.0f} MiB at {marks[1]}")
    assert seen[1] - seen[0] < 25
