"""Dice of single cases by a segmenter, and which cases with noisy labels are trained on."""

import numpy as np
import pandas as pd
import pytest
import torch

from warpline.cases.case import Case, write_case
from warpline.cases.folders import CaseFolders, read_cases
from warpline.cases.organs import NUMBER
from warpline.errors import WarplineError
from warpline.evaluation.segmentation import segmentation_records
from warpline.images.grid import Grid, Image
from warpline.training.data import CaseMemory, fit_for_training

LIVER, SPLEEN = NUMBER["liver"], NUMBER["spleen"]
WHERE = {"dataset": "d", "method": "m", "split": "val-segmented", "window": 8}


class AboveZero(torch.nn.Module):
    """Liver where the image is above zero, spleen where it is below."""

    organs = ("liver", "spleen")

    def forward(self, image):
        return torch.cat([(image == 0), (image > 0), (image < 0)], dim=1).float()


def case(name: str, annotated) -> Case:
    grid = Grid((8, 8, 8))
    image, labels = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.uint8)
    image[:4], labels[:2] = 1, LIVER  # 256 voxels found, 128 true, all of them found
    image[6:], labels[6:] = -1, SPLEEN
    return Case(name, Image(image, grid), Image(labels, grid), annotated=annotated)


def test_dice_of_the_organs_that_a_case_has_annotated():
    cases = [case("both", None), case("liver", (LIVER,)), case("none", ())]
    frame = segmentation_records(AboveZero(), cases, **WHERE)
    dice = frame[frame["metric"] == "dice"].set_index(["fixed", "label"])["value"]
    assert dice.to_dict() == pytest.approx(
        {("both", "liver"): 2 / 3, ("both", "spleen"): 1.0, ("liver", "liver"): 2 / 3}
    )
    assert (frame["fixed"] == frame["moving"]).all()
    assert (frame["metric"] == "seconds").sum() == 3


def test_cases_without_any_of_the_organs_are_refused():
    with pytest.raises(WarplineError, match="No case has any of the segmenter's organs"):
        segmentation_records(AboveZero(), [case("none", ())], **WHERE)


def verdict(**kept: bool) -> pd.DataFrame:
    return pd.DataFrame(
        {"case": list(kept), "kept": list(kept.values()), "reason": "liver not found"}
    )


def test_cases_whose_labels_fail_are_left_out_and_named(capsys):
    judged = verdict(a=True, b=False, c=True, elsewhere=False)
    assert fit_for_training(["a", "b", "c"], judged) == ["a", "c"]
    printed = capsys.readouterr().out
    assert "b is left out, its labels fail: liver not found" in printed
    assert "elsewhere" not in printed


def test_too_few_that_are_fit():
    with pytest.raises(WarplineError, match="Of 2 training cases 1 have noisy labels that fail"):
        fit_for_training(["a", "b"], verdict(a=True, b=False))


def test_a_case_goes_by_its_name_here_not_by_that_of_its_folder(tmp_path):
    """Cases of two datasets may have one name there."""
    folders = {}
    for dataset in ("abdomen", "tcia-pancreas"):
        write_case(tmp_path / dataset / "0002", case("0002", None))
        folders[f"{dataset}.0002"] = str(tmp_path / dataset / "0002")
    found = read_cases(folders, folders)
    assert [c.id for c in found] == list(folders)
    assert [c.id for c in CaseFolders(folders, list(folders))] == list(folders)
    assert CaseMemory(found, [LIVER]).index == {"abdomen.0002": 0, "tcia-pancreas.0002": 1}
