"""Measure time and memory of deraining whole photographs, and of one training step.

    python benchmarks/bench_speed.py [MODEL] [--sizes 256 512 1024] [--repeat 3]

Times are medians on the device that `nerdrain.pick_device` chooses; the first line describes it.
Compare only ratios within one run. Memory is the peak of the whole process so far.
"""

import argparse

import torch

import nerdrain
from nerdrain.devices import describe_device, median_seconds, peak_memory_mib
from nerdrain.evaluation.complexity import complexity
from nerdrain.model.network import NeRDRain
from nerdrain.training.losses import HybridLoss


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="nerd-rain-tiny", choices=nerdrain.PRESETS)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    device = nerdrain.pick_device()
    config = nerdrain.PRESETS[arguments.model]
    print(f"{arguments.model}, fidelity {config.fidelity}; {describe_device(device)}\n")
    print("| task | size | multiply-adds (G) | seconds | peak memory (MiB) |")
    print("|---|---|---|---|---|")
    model = NeRDRain(config).to(device).eval()
    with torch.inference_mode():
        for size in arguments.sizes:
            x = torch.rand(1, 3, size, size, device=device)
            seconds = median_seconds(lambda x=x: model(x), device, repeat=arguments.repeat)
            macs = complexity(config, size).macs / 1e9
            row = (
                f"{size}x{size}",
                f"{macs:.1f}",
                f"{seconds:.2f}",
                f"{peak_memory_mib(device):.0f}",
            )
            print("| derain | " + " | ".join(row) + " |", flush=True)

    loss, target = HybridLoss(), torch.rand(4, 3, 64, 64, device=device)

    def step() -> None:
        model.zero_grad()
        loss(model(target), target).total.backward()

    seconds = median_seconds(step, device, repeat=arguments.repeat)
    print(f"| training step | 4 x 64x64 | - | {seconds:.2f} | {peak_memory_mib(device):.0f} |")


if __name__ == "__main__":
    main()
