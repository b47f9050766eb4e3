"""The paper's tables as data."""

import pytest

from nerdrain.errors import NerdrainError
from nerdrain.evaluation.paper import ABLATIONS, DATASETS, TABLE_1, TABLE_2, ablation
from nerdrain.model.config import NeRDRainConfig


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


def test_each_row_is_a_network_and_only_the_whole_method_changes_nothing() -> None:
    whole = NeRDRainConfig()
    for table in ABLATIONS.values():
        same = [row.name for row in table.trainable if whole.with_changes(**row.changes) == whole]
        assert same == ([] if table is ABLATIONS[6] else [table.ours])
    for row in ABLATIONS[4].rows:  # m123 has 1, 2 and 3 UNets
        config = whole.with_changes(**row.changes)
        assert config.unets == tuple(map(int, row.name.removeprefix("m")))


def test_only_the_networks_of_others_cannot_be_trained() -> None:
    others = {t: [r.name for r in a.rows if r not in a.trainable] for t, a in ABLATIONS.items()}
    assert others == {3: [], 4: [], 5: [], 6: ["mprnet", "drsformer"]}


def test_an_ablation_is_found_by_the_number_of_its_table() -> None:
    assert ablation(5) is ABLATIONS[5]
    with pytest.raises(NerdrainError, match="no ablation table 2; choose one of 3, 4, 5, 6"):
        ablation(2)
