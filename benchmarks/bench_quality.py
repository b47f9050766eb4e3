"""Measure a model on the test photographs under each style of rain, and without rain.

    python benchmarks/bench_quality.py [MODEL] [--photos 16]

Rain with a fixed seed is added to every test photograph of `data/photos`. The result is rounded to
8 bits and derained whole. "RandomRain" is the rain of the library kornia, with its default values:
no model of this project was trained on it. The printed table is Markdown for a model card.
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch
from kornia.augmentation import RandomRain

import nerdrain
from nerdrain.data.photos import load_photo, photo_names
from nerdrain.data.rain import add_rain
from nerdrain.data.rain_styles import STYLES
from nerdrain.devices import describe_device
from nerdrain.evaluation.metrics import psnr_matlab_y, ssim_matlab_y, to_uint8
from nerdrain.inference.derain import derain


def rain_of_kornia(photo: np.ndarray, seed: int) -> np.ndarray:
    """A photograph ``(H, W, 3)`` of bytes with the rain of another project, in [0, 1]."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        clean = torch.from_numpy(photo / np.float32(255)).movedim(-1, 0)
        rainy = RandomRain(p=1.0)(clean)
    return rainy[0].movedim(0, -1).numpy()


WEATHER: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    **{
        f"{style} rain": lambda photo, seed, style=style: add_rain(photo, style, seed)[0]
        for style in STYLES
    },
    "kornia's RandomRain": rain_of_kornia,
    "no rain": lambda photo, seed: photo,
}


def spread(values: list[float]) -> str:
    """Return mean and standard deviation over the photographs."""
    return f"{np.mean(values):.2f} ± {np.std(values):.2f}"


def main() -> None:
    """Measure the model and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="nerd-rain-tiny")
    parser.add_argument("--photos", type=int, default=len(photo_names("test")))
    arguments = parser.parse_args()
    device = nerdrain.pick_device()
    model = nerdrain.load_model(arguments.model, device)
    names = photo_names("test")[: arguments.photos]
    print(f"{arguments.model} on {len(names)} test photographs; {describe_device(device)}\n")
    print("| weather | PSNR before (dB) | PSNR after (dB) | gain (dB) | SSIM before | SSIM after |")
    print("|---|---|---|---|---|---|")
    for weather, make in WEATHER.items():
        before: list[float] = []
        after: list[float] = []
        ssim_before: list[float] = []
        ssim_after: list[float] = []
        for seed, name in enumerate(names):
            clean = load_photo(name)
            rainy = to_uint8(make(clean, seed))
            restored = derain(rainy, model)
            before.append(psnr_matlab_y(rainy, clean))
            after.append(psnr_matlab_y(restored, clean))
            ssim_before.append(ssim_matlab_y(rainy, clean))
            ssim_after.append(ssim_matlab_y(restored, clean))
        dry = np.isinf(before).any()
        gains = [a - b for a, b in zip(after, before, strict=True)]
        print(
            f"| {weather} | {'identical' if dry else spread(before)} | {spread(after)} | "
            f"{f'lowest: {min(after):.2f}' if dry else spread(gains)} | "
            f"{np.mean(ssim_before):.4f} | {np.mean(ssim_after):.4f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
