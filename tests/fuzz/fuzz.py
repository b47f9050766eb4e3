"""Read damaged files in a process of their own, which may die or hang without harm.

    python tests/fuzz/fuzz.py KIND FIRST LAST

reads the mutants FIRST to LAST - 1 of a kind in the current folder, and prints one line of JSON for
each. The number of a mutant is its seed. `fuzz` starts this program and judges the lines.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kinds import KINDS, Kind
from mutate import mutate

from nerdrain.devices import peak_memory_mib
from nerdrain.errors import NerdrainError

MOST_SECONDS = 10.0
"""Processor seconds for one file."""
MOST_MIB = 2048.0
"""Peak memory of the process that reads, with Python and torch."""
HANGS = 120.0
"""Wall-clock seconds, after which the process is stopped."""


@dataclass
class Result:
    """How the mutants of a kind were read; `problems` names those that break a promise."""

    kind: str
    mutants: int = 0
    equal: int = 0
    other: int = 0
    refused: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    mib: float = 0.0
    problems: list[str] = field(default_factory=list)

    def add(self, line: dict[str, Any], verified: bool) -> None:
        """Count one mutant."""
        verdict, seed = line["verdict"], line["seed"]
        self.mutants += 1
        self.seconds += line["seconds"]
        self.slowest = max(self.slowest, line["seconds"])
        self.mib = max(self.mib, line["mib"])
        self.equal += verdict == "equal"
        self.other += verdict == "other"
        self.refused += verdict == "refused"
        if verdict not in ("equal", "other", "refused"):
            self.problems.append(f"{seed}: {verdict}")
        if verdict == "other" and verified:
            self.problems.append(f"{seed}: read, but something else than the original")
        if line["seconds"] > MOST_SECONDS or line["mib"] > MOST_MIB:
            self.problems.append(f"{seed}: {line['seconds']:.1f} s, {line['mib']:.0f} MiB")


def make_mutant(name: str, originals: list[bytes], seed: int) -> tuple[int, bytes]:
    """Index of the original that is damaged, and the mutant with this seed."""
    kind, rng = KINDS[name], random.Random(f"{name} {seed}")
    index = rng.randrange(len(originals))
    return index, kind.finish(mutate(rng, originals[index], kind.tokens))


def judge(kind: Kind, path: Path, expected: object) -> str:
    """Read one file: "equal", "other", "refused", or what went wrong."""
    try:
        verdict = "equal" if kind.read(path) == expected else "other"
    except NerdrainError as error:
        text = str(error).removeprefix(f"{path}: ")
        whole = re.fullmatch(r"[^\n]+\.", text) and text.isprintable() and len(text) < 800
        verdict = "refused" if whole else f"not a sentence: {text[:800]!r}"
    except Exception as error:
        verdict = f"{type(error).__name__}: {error}"[:500]
    left = sorted(os.listdir())
    return verdict if left == [path.name] else f"files: {left}"


def read_mutants(name: str, first: int, last: int) -> None:
    """Read mutants in the current folder, which is empty, and print how each was read."""
    kind = KINDS[name]
    originals, path, expected = list(kind.originals()), Path(f"mutant{kind.suffix}"), []
    for original in originals:
        path.write_bytes(kind.finish(original))
        try:
            expected.append(kind.read(path))
        except NerdrainError:
            expected.append(None)  # hostile before it is damaged
    for seed in range(first, last):
        faulthandler.dump_traceback_later(HANGS, exit=True)
        index, mutant = make_mutant(name, originals, seed)
        path.write_bytes(mutant)
        start = time.process_time()
        verdict = judge(kind, path, expected[index])
        seconds = time.process_time() - start
        line = {"seed": seed, "verdict": verdict, "seconds": seconds, "mib": peak_memory_mib()}
        print(json.dumps(line), flush=True)


def fuzz(name: str, count: int, folder: Path) -> Result:
    """Read the mutants 0 to `count` - 1 of a kind, in an empty folder."""
    result, environment = Result(name), os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    while result.mutants < count and len(result.problems) < 20:
        first = result.mutants
        sandbox = folder / str(first)
        sandbox.mkdir()
        command = [sys.executable, __file__, name, str(first), str(count)]
        with subprocess.Popen(
            command, cwd=sandbox, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for text in process.stdout:
                result.add(json.loads(text), KINDS[name].verified)
        if result.mutants < count:
            died = {"seed": result.mutants, "verdict": f"died with {process.returncode}"}
            result.add(died | {"seconds": 0.0, "mib": 0.0}, verified=False)
    return result


def as_row(result: Result) -> dict[str, Any]:
    """The numbers of a result."""
    return {key: value for key, value in asdict(result).items() if key != "problems"}


if __name__ == "__main__":
    read_mutants(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
