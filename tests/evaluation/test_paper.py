"""The paper's tables as data."""

import pytest

from nerdrain.evaluation.paper import ABLATIONS, DATASETS, TABLE_1, TABLE_2


def test_the_papers_tables_are_whole() -> None:
    assert all(len(row) == len(DATASETS) for row in TABLE_1.values())
    best = [max(row[i] for row in TABLE_1.values()) for i in range(len(DATASETS))]
    assert list(TABLE_1["NeRD-Rain"]) == best  # "achieves higher quantitative results"
    gain = TABLE_1["NeRD-Rain"][4][0] - TABLE_1["DRSformer"][4][0]
    assert gain == pytest.approx(1.04)  # section 4.2
    assert TABLE_2["NeRD-Rain"] == (156.3, 22.89)
    rows = {row.name: row.psnr for row in ABLATIONS[5].rows}
    assert rows["bfpu"] - rows["none"] == pytest.approx(0.10)  # section 5
    ours = [next(r for r in a.rows if r.name == a.ours) for a in ABLATIONS.values()]
    assert (ours[0].psnr, ours[1].psnr) == (TABLE_1["NeRD-Rain"][0][0],) * 2
    assert ours[2].psnr == TABLE_1["NeRD-Rain"][1][0]
