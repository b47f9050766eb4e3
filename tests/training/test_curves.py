"""The curves of a training run."""

from pathlib import Path

from nerdrain.training.curves import draw_curves, read_log


def test_curves_hold_what_the_log_says(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,total,psnr_mean,lr\n2,0.5,,1e-3\n4,0.25,30.5,1e-4\n")
    curves = read_log(tmp_path)
    assert curves["total"] == [(2, 0.5), (4, 0.25)]
    assert curves["psnr_mean"] == [(4, 30.5)]
    loss, psnr, rate = draw_curves(curves).axes
    assert loss.lines[0].get_xydata().tolist() == [[2, 0.5], [4, 0.25]]
    assert psnr.lines[0].get_xydata().tolist() == [[4, 30.5]]
    assert rate.lines[0].get_xydata().tolist() == [[2, 1e-3], [4, 1e-4]]
