"""A folder of CTs with a table of nodules."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from data_set_inputs import HEADER
from io_inputs import SYNTHETIC_SERIES, write_series

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.simulation import make_phantom
from training.datasets.cache import Cache
from training.datasets.folder import folder_cases
from training.datasets.prepare import main


@pytest.fixture
def own_scans(tmp_path: Path) -> Path:
    """An image file and a DICOM folder with a table of their nodules."""
    phantom = make_phantom(5, 1, (2.5, 1.8, 1.8), size="small")
    folder = tmp_path / "scans"
    folder.mkdir()
    image = sitk.GetImageFromArray(phantom.volume.voxels)
    image.SetSpacing((1.8, 1.8, 2.5))
    image.SetOrigin(phantom.volume.origin_lps.tolist())
    sitk.WriteImage(image, str(folder / "first.nii.gz"), useCompression=True)
    write_series(
        folder / "dicom", phantom.volume.voxels, spacing_kji=(2.5, 1.8, 1.8), PatientID="somebody",
        origin=tuple(phantom.volume.origin_lps),
    )  # fmt: skip
    place = ",".join(f"{value:.3f}" for value in phantom.nodules[0].center_lps)
    (folder / "nodules.csv").write_text(
        "seriesuid,coordX,coordY,coordZ,diameter_mm,malignancy,patient\n"
        f'first,{place},{phantom.nodules[0].diameter_mm},"[4, 5]",anna\n'
        f"{SYNTHETIC_SERIES},{place},{phantom.nodules[0].diameter_mm},,\n"
    )
    return folder


def test_a_folder_of_cts_is_prepared(own_scans: Path, tmp_path: Path) -> None:
    table = own_scans / "nodules.csv"
    table.write_text(table.read_text().replace(",,\n", ",,berta\n"))
    assert main(["--kind", "folder", "--data", str(own_scans), "--cache", str(tmp_path / "c")]) == 0
    dicom, image = Cache(tmp_path / "c").entries()
    assert (dicom.name, dicom.patient, image.name, image.patient) == (SYNTHETIC_SERIES, "berta", "first", "anna")
    assert dicom.nodules[0].malignancy != dicom.nodules[0].malignancy and image.nodules[0].malignancy == 4.5
    assert np.abs(dicom.nodules[0].center_kji - image.nodules[0].center_kji).max() < 1.5


def test_whose_a_scan_is(own_scans: Path) -> None:
    table = own_scans / "nodules.csv"
    lines = [line.rsplit(",", 1)[0] for line in table.read_text().splitlines()]
    table.write_text("\n".join(lines))
    assert {case.name: case.patient for case in folder_cases(own_scans)} == {
        "first": "first",
        SYNTHETIC_SERIES: "somebody",
    }
    given = folder_cases(own_scans, patients={"first": "berta", SYNTHETIC_SERIES: "berta"})
    assert {case.patient for case in given} == {"berta"}


def test_a_table_of_another_scan_is_refused(own_scans: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text(HEADER + "second,1,2,3,4\n")
    with pytest.raises(InputError, match="'second', which is no scan"):
        folder_cases(own_scans, other)
    shutil.copy(own_scans / "first.nii.gz", own_scans / "dicom" / "first.nii.gz")
    with pytest.raises(InputError, match="both named first"):
        folder_cases(own_scans)
