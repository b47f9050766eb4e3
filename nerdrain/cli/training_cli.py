"""The commands about training: train, plot, ablate."""

import os
from pathlib import Path
from typing import Annotated

import typer

from nerdrain.cli.console import reported
from nerdrain.errors import NerdrainError

app = typer.Typer()

Device = Annotated[
    str | None,
    typer.Option(help="cpu, cuda, cuda:1 or mps; the fastest there is unless said."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace one of its settings; repeatable."),
]


def settings_of(changes: list[str] | None) -> dict[str, str]:
    """What several --set say, by key."""
    settings: dict[str, str] = {}
    for change in changes or []:
        key, equals, value = change.partition("=")
        if not (key and equals):
            raise NerdrainError(f"--set {change}: write it as KEY=VALUE, e.g. --set steps=2000.")
        settings[key] = value
    return settings


@app.command()
@reported
def train(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", help="A YAML file, or a name such as rain200l.")
    ],
    changes: Settings = None,
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the run; runs/RECIPE unless said."),
    ] = None,
    device: Device = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run of that folder, if there is one.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what it would take on this device, and stop.")
    ] = False,
) -> None:
    """Train a network as a recipe says.

    Ctrl-C and SIGTERM save first; the same command with --resume then goes on exactly. Several
    GPUs: `accelerate launch -m nerdrain train RECIPE`, or torchrun, with a batch that they share.

    Examples:
    - `nerdrain train recipes/nerd-rain-tiny-1.yaml --set steps=2000 -o runs/short`
    - `nerdrain train rain200l --set pairs=/data/Rain200L --plan`
    """
    settings = settings_of(changes)
    if plan:
        from nerdrain.cli.training_commands import print_plan

        print_plan(recipe, settings, device)
        return
    from nerdrain.training.loop import train as train_network

    folder = train_network(recipe, settings, out, device, resume=resume)
    if os.environ.get("RANK", "0") == "0":  # one of several processes speaks
        typer.echo(f"The run is in {folder}.")


@app.command()
@reported
def plot(
    run: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Folder of a training run.")],
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="The picture; RUN_DIR/curves.png.")
    ] = None,
) -> None:
    """Draw a run's curves: losses, PSNR and learning rate. Needs the extra "book".

    Example:
    - `nerdrain plot runs/short`
    """
    try:
        from nerdrain.training.curves import plot_run
    except ModuleNotFoundError as error:
        raise NerdrainError(f'{error.name} is missing: pip install "nerdrain[book]".') from None

    typer.echo(f"The curves are in {plot_run(run, out)}.")


@app.command()
@reported
def ablate(
    table: Annotated[int, typer.Argument(metavar="TABLE", help="3, 4, 5 or 6, as in the paper.")],
    recipe: Annotated[
        Path, typer.Option(help="What each row trains, a YAML file or a shipped name.")
    ] = Path("small"),
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each row and fidelity.")] = 3,
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="runs/ablation-TABLE unless said.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at once, one thread each.")] = 1,
    device: Device = None,
) -> None:
    """Train the rows of an ablation table of the paper at a small scale, beside its figures.

    On data/photos with synthetic rain, in both fidelities. A command that was stopped goes on where
    it was. A difference from the whole method is given with its 95 % interval over the seeds.

    Example:
    - `nerdrain ablate 5 --recipe small --seeds 3 --jobs 2`
    """
    from nerdrain.cli.training_commands import print_ablation

    print_ablation(table, recipe, seeds, out or Path("runs") / f"ablation-{table}", jobs, device)
