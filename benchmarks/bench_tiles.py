"""Compare tiles with the whole image, and measure the memory of the network.

    python benchmarks/bench_tiles.py [MODEL ...] [--tiles 256 512 768] [--overlaps 16 32 64]

The first table shows, for rainy photographs of 1024x1024, how far the result in tiles is from the
result of the whole image: the side of the tiles, which are made equal; the least and the mean PSNR
(RGB); the largest difference of a value of 0 to 255; and the pixels that tiles of a photograph of
4000x3000 compute more than once, in per cent.

The second table shows the peak memory of one pass, in bytes per pixel and hidden channel
(`config.width` times `config.expansion`), and of 12 passes, between which the system's allocator
keeps memory. They set `UNIT` and `GROWTH` of `nerdrain.inference.derain`. Models without weights
have random ones here, so only their memory has a meaning.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import torch
from PIL import Image

import nerdrain
from nerdrain.checkpoints.weights import shipped_models
from nerdrain.data.photos import load_photo
from nerdrain.data.rain import add_rain
from nerdrain.devices import describe_device, peak_memory_mib, reset_peak_memory, used_memory
from nerdrain.evaluation.metrics import to_uint8
from nerdrain.inference.tiling import split_side
from nerdrain.model.network import NeRDRain

PHOTOS = {"brandenburg-gate": "light", "kingfisher": "heavy", "machu-picchu": "heavy"}
SIDE = 1024


def rainy_photos() -> list[np.ndarray]:
    """The photographs, enlarged to `SIDE`, with rain."""
    photos = []
    for seed, (name, style) in enumerate(PHOTOS.items()):
        clean = np.asarray(Image.fromarray(load_photo(name)).resize((SIDE, SIDE)))
        photos.append(to_uint8(add_rain(clean, style, seed)[0]))
    return photos


def extra_pixels(tile: int, overlap: int) -> float:
    """The share of pixels that tiles of a photograph of 4000x3000 compute more than once."""
    sides = (sum(end - start for start, end in split_side(n, tile, overlap)) for n in (4000, 3000))
    return float(np.prod(list(sides))) / (4000 * 3000) - 1


def compare_tiles(name: str, tiles: list[int], overlaps: list[int]) -> None:
    """Print the first table of a model."""
    model = nerdrain.load_model(name, nerdrain.pick_device())
    photos = rainy_photos()
    whole = [nerdrain.derain(photo, model, tile=None).astype(float) for photo in photos]
    for tile in tiles:
        for overlap in (n for n in overlaps if 2 * n <= tile):
            used = split_side(SIDE, tile, overlap)[0][1]
            parts = [nerdrain.derain(p, model, tile=tile, overlap=overlap) for p in photos]
            errors = np.stack([np.abs(a - b) for a, b in zip(parts, whole, strict=True)])
            psnr = [10 * np.log10(255**2 / np.mean(e**2)) for e in errors]
            print(
                f"| {name} | {tile} | {used} | {overlap} | {min(psnr):.1f} | {np.mean(psnr):.1f} | "
                f"{errors.max():.0f} | {100 * extra_pixels(tile, overlap):.0f} |",
                flush=True,
            )


def bytes_per_unit(name: str, side: int) -> tuple[float, float]:
    """Peak memory of one pass and of 12 passes, in bytes per pixel and hidden channel.

    The passes have three shapes, as the tiles of a photograph have.
    """
    device = nerdrain.pick_device()
    config = nerdrain.PRESETS[name]
    model, hidden = NeRDRain(config).to(device).eval(), config.width * config.expansion
    x = torch.rand(1, 3, side, side, device=device)
    peaks = []
    with torch.inference_mode():
        model(x[..., :64, :64])  # loads the kernels
        before = used_memory(device)
        reset_peak_memory(device)
        for number in range(12):
            model(x[..., : side - number % 3 * 16])
            peaks.append((peak_memory_mib(device) * 2**20 - before) / side**2 / hidden)
    return peaks[0], peaks[-1]


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=shipped_models(), metavar="MODEL")
    parser.add_argument("--tiles", type=int, nargs="*", default=[256, 512, 768])
    parser.add_argument("--overlaps", type=int, nargs="*", default=[16, 32, 64])
    parser.add_argument("--sides", type=int, nargs="*", default=[256, 512, 768])
    arguments = parser.parse_args()
    print(describe_device(nerdrain.pick_device()))
    print("\n| model | tile | equal tiles | overlap | least PSNR | mean | difference | extra (%) |")
    print("|---|---|---|---|---|---|---|---|")
    for name in set(arguments.models) & set(shipped_models()) if arguments.tiles else ():
        compare_tiles(name, arguments.tiles, arguments.overlaps)
    print("\n| model | side | bytes per pixel and hidden channel | after 12 passes |")
    print("|---|---|---|---|")
    for name in arguments.models:
        for side in arguments.sides:
            # A new process for each, because the peak of a process never falls.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as one:
                first, last = one.submit(bytes_per_unit, name, side).result()
            print(f"| {name} | {side} | {first:.0f} | {last:.0f} |", flush=True)


if __name__ == "__main__":
    main()
