"""`nerdrain ablate`: one of the paper's ablation tables, trained at a small scale."""

from pathlib import Path
from typing import Annotated

import typer

from nerdrain.cli.console import Device


def ablate(
    table: Annotated[int, typer.Argument(metavar="TABLE", help="3, 4, 5 or 6, as in the paper.")],
    recipe: Annotated[Path, typer.Option(help="A YAML file or a shipped name.")] = Path("small"),
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each row and fidelity.")] = 3,
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; by default runs/ablation-TABLE.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time, each with one thread.")] = 1,
    device: Device = None,
) -> None:
    """Train the rows of one of the paper's ablation tables at a small scale.

    Every row is trained in both fidelities, on data/photos with synthetic rain. The table shows
    each result beside the paper's number, and its difference from the whole method with a 95 %
    interval over the seeds. If you stop the command, run it again to continue.

    Example:
    - `nerdrain ablate 5 --recipe small --seeds 3 --jobs 2`
    """
    from nerdrain.training.ablation import plan_ablation, run_ablation, table_rows

    out = out or Path("runs") / f"ablation-{table}"
    runs = plan_ablation(table, recipe, seeds)
    typer.echo(f"{len(runs)} runs of {runs[0].recipe.max_steps} steps, into {out}", err=True)
    results = []
    for result in run_ablation(runs, out, jobs, device):
        results.append(result)
        typer.echo(
            f"{len(results)} of {len(runs)}: {result.row}, {result.fidelity}, seed {result.seed}: "
            f"{result.psnr:.2f} dB in {result.minutes:.1f} minutes",
            err=True,
        )
    heading, *lines = table_rows(results, table)
    for cells in (heading, ["---"] * len(heading), *lines):
        typer.echo(f"| {' | '.join(cells)} |")
    typer.echo(
        f"\nPSNR (MATLAB's Y, dB): mean ± standard deviation over {seeds} seed(s). In brackets: "
        "the mean difference from the whole method with the same seed, and its 95 % interval. "
        "Networks and runs are small and the rain is synthetic, so these results do not test the "
        "paper's numbers."
    )
