"""Copy a finished training run into data/checkpoints, where `nerdrain.load_model` finds it by name.

    python tools/ship_checkpoint.py nerd-rain-tiny runs/nerd-rain-tiny-1 runs/nerd-rain-tiny-2

The weights come from the last run and are stored in float16. The recipe and the log of every run
are copied too, because they show how the model was made. The model card is written by hand.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import torch

from nerdrain.checkpoints.weights import WEIGHTS, load_model, models_folder, save_checkpoint
from nerdrain.files import write_atomically

LARGEST = 5_000_000  # bytes


def ship(name: str, runs: list[Path]) -> Path:
    """Copy the files of a model, add its digest to SHA256SUMS, and return its folder."""
    folder = models_folder() / name
    model = load_model(runs[-1] / WEIGHTS)
    size = 2 * sum(tensor.numel() for tensor in model.state_dict().values())
    if size > LARGEST:
        raise SystemExit(f"the weights of {runs[-1]} have {size} bytes, over {LARGEST}")
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(model, folder / WEIGHTS, dtype=torch.float16)
    content = json.dumps(model.config.model_dump(), indent=2, sort_keys=True)
    write_atomically(folder / "config.json", (content + "\n").encode())
    for run in runs:
        for file in ("recipe.yaml", "log.csv"):
            if (run / file).is_file():
                stem, suffix = file.split(".")
                shutil.copyfile(run / file, folder / f"{stem}-{run.name.split('-')[-1]}.{suffix}")
    sums = models_folder() / "SHA256SUMS"
    lines = sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []
    digests = {file: digest for digest, file in (line.split() for line in lines)}
    digests[f"{name}/{WEIGHTS}"] = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    text = "".join(f"{digest}  {file}\n" for file, digest in sorted(digests.items()))
    write_atomically(sums, text.encode())
    return folder


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="name for load_model")
    parser.add_argument("runs", nargs="+", type=Path, help="its training runs, in order")
    options = parser.parse_args()
    print(f"shipped in {ship(options.name, options.runs)}")


if __name__ == "__main__":
    main()
