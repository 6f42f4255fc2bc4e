"""What cannot be used is refused in one sentence that names it, and nothing else reaches the terminal."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from io_inputs import as_image, chest_hu, cut, other_uid, write_series
from pydicom.uid import ExplicitVRLittleEndian

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.io import check_quality, read_volume

NIFTI_SPACING_OFFSET = 80  # pixdim[1] of NIfTI-1, a float32


def _image(path: Path, image: sitk.Image | None = None, *, compressed: bool = False) -> Path:
    sitk.WriteImage(as_image() if image is None else image, str(path), compressed)
    return path


def _values(path: Path, values: np.ndarray) -> Path:
    return _image(path, as_image(values))


def _text(path: Path) -> Path:
    path.write_text("this is a shopping list\n" * 20)
    return path


def _cut(path: Path, share: float = 0.6) -> Path:
    cut(path, share)
    return path


def _truncated_raw(folder: Path) -> Path:
    path = _image(folder / "scan.mhd")
    cut(folder / "scan.raw")
    return path


def _missing_raw(folder: Path) -> Path:
    path = _image(folder / "scan.mhd")
    (folder / "scan.raw").unlink()
    return path


def _replaced(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    return path


def _zero_spacing_nifti(path: Path) -> Path:
    _image(path)
    content = bytearray(path.read_bytes())
    content[NIFTI_SPACING_OFFSET : NIFTI_SPACING_OFFSET + 4] = bytes(4)
    path.write_bytes(content)
    return path


def _nan(path: Path) -> Path:
    values = chest_hu().astype(np.float32)
    values[3, 4, 5] = np.nan
    return _values(path, values)


def _four_dimensional(path: Path) -> Path:
    return _image(path, sitk.JoinSeries([as_image(), as_image()]))


def _empty_folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def _truncated_dicom(folder: Path, share: float, syntax: str | None = None) -> Path:
    paths = write_series(folder, **({"syntax": syntax} if syntax else {}))
    cut(paths[6], share)
    return folder


def _without_pixels(folder: Path) -> Path:
    path = write_series(folder)[6]
    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)
    return folder


def _empty_slice(folder: Path) -> Path:
    write_series(folder)[6].write_bytes(b"")
    return folder


def _missing_slice(folder: Path) -> Path:
    write_series(folder)[6].unlink()
    return folder


def _missing_of_three(folder: Path) -> Path:
    for n, path in enumerate(write_series(folder, chest_hu((4, 40, 48)))):
        if n == 2:
            path.unlink()
    return folder


def _doubled_slice(folder: Path) -> Path:
    path = write_series(folder)[6]
    (folder / "copy.dcm").write_bytes(path.read_bytes())
    return folder


def _repeated_position(folder: Path) -> Path:
    write_series(folder)
    write_series(folder, chest_hu((1, 40, 48), seed=5), prefix="again", origin=(-20.0, -30.0, -90.0))
    return folder


def _mixed(folder: Path, **second: object) -> Path:
    write_series(folder)
    shape = second.pop("shape", (12, 40, 48))
    write_series(folder, chest_hu(shape), prefix="other", **second)  # type: ignore[arg-type]
    return folder


def _series(folder: Path, **attributes: object) -> Path:
    write_series(folder, **attributes)  # type: ignore[arg-type]
    return folder


def _uneven(folder: Path) -> Path:
    def edit(dataset: pydicom.Dataset, n: int) -> None:
        dataset.ImagePositionPatient[2] = -100 + 2.5 * n + 0.08 * n * n

    write_series(folder, edit=edit)
    return folder


def _displaced(folder: Path) -> Path:
    def edit(dataset: pydicom.Dataset, n: int) -> None:
        dataset.ImagePositionPatient[0] = -20 + (9 if n == 5 else 0)

    write_series(folder, edit=edit)
    return folder


CASES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing path": (lambda f: f / "nothing.nrrd", "does not exist"),
    "empty folder": (_empty_folder, "holds no DICOM images"),
    "folder without images": (lambda f: _text(f / "a.txt").parent, "holds no DICOM images"),
    "unknown ending": (lambda f: _text(f / "a.docx"), "no image that can be read"),
    "text as nrrd": (lambda f: _text(f / "a.nrrd"), "not an image"),
    "text as mhd": (lambda f: _text(f / "a.mhd"), "not an image"),
    "text as nii": (lambda f: _text(f / "a.nii"), "not a readable NIfTI"),
    "text as nii.gz": (lambda f: _text(f / "a.nii.gz"), "not a readable NIfTI"),
    "text as dcm": (lambda f: _text(f / "a.dcm").parent, "not a readable DICOM"),
    "empty file": (lambda f: _cut(_image(f / "a.nrrd"), 0), "not an image"),
    "truncated raw": (_truncated_raw, "truncated"),
    "missing raw": (_missing_raw, "data file is missing"),
    "truncated mha": (lambda f: _cut(_image(f / "a.mha")), "truncated"),
    "truncated compressed mha": (lambda f: _cut(_image(f / "a.mha", compressed=True)), "truncated"),
    "truncated nrrd": (lambda f: _cut(_image(f / "a.nrrd")), "truncated"),
    "truncated compressed nrrd": (lambda f: _cut(_image(f / "a.nrrd", compressed=True)), "truncated"),
    "truncated nii": (lambda f: _cut(_image(f / "a.nii")), "truncated"),
    "truncated nii.gz": (lambda f: _cut(_image(f / "a.nii.gz")), "truncated"),
    "barely truncated nii": (lambda f: _cut(_image(f / "a.nii"), 0.9999), "truncated"),
    "truncated DICOM": (lambda f: _truncated_dicom(f, 0.9), "truncated"),
    "truncated uncompressed DICOM": (lambda f: _truncated_dicom(f, 0.9, ExplicitVRLittleEndian), "truncated"),
    "DICOM truncated in its header": (lambda f: _truncated_dicom(f, 0.1), "truncated|damaged"),
    "DICOM without pixels": (_without_pixels, "truncated|damaged"),
    "empty slice": (_empty_slice, "not a readable DICOM"),
    "missing slice": (_missing_slice, r"1 slice is missing at position -85\.00 mm"),
    "missing slice of three": (_missing_of_three, r"missing at position -95\.00 mm"),
    "doubled slice": (_doubled_slice, r"same position -85\.00 mm"),
    "repeated position": (_repeated_position, r"same position -90\.00 mm"),
    "uneven slices": (_uneven, "fit no regular grid"),
    "displaced slices": (_displaced, "displaced sideways by up to 9"),
    "two sizes in a series": (lambda f: _mixed(f, shape=(12, 32, 32)), "different sizes"),
    "two orientations in a series": (
        lambda f: _mixed(f, orientation=(1, 0, 0, 0, 0, -1), origin=(0, 0, 0)), "different orientations",
    ),
    "two pixel spacings in a series": (
        lambda f: _mixed(f, spacing_kji=(2.5, 0.6, 0.6)), "different pixel spacings",
    ),
    "two scans in a series": (lambda f: _mixed(f, origin=(-20.0, -30.0, 20.0)), "slices? (is|are) missing"),
    "MR": (lambda f: _series(f, Modality="MR"), "MR, not CT"),
    "localiser": (lambda f: _series(f, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "localiser"),
    "single slice": (lambda f: _series(f, hu=chest_hu((1, 40, 48))), "single slice"),
    "coronal": (lambda f: _series(f, orientation=(1, 0, 0, 0, 0, -1)), "not axial"),
    "screen captures": (lambda f: _series(f, SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), "screen captures"),
    "zero spacing DICOM": (lambda f: _series(f, PixelSpacing=[0, 0]), "pixel spacing of zero"),
    "8 mm slices": (lambda f: _series(f, spacing_kji=(8.0, 0.8, 0.7)), r"slices of 8\.0 mm"),
    "thick overlapping slices": (lambda f: _series(f, SliceThickness=5.0), r"slices of 5\.0 mm"),
    "MR as NIfTI": (lambda f: _values(f / "a.nii.gz", np.abs(chest_hu()).astype(np.int16)), "in HU"),
    "scaled to 0..1": (lambda f: _values(f / "a.nrrd", (chest_hu() + 1024) / np.float32(4096)), "in HU"),
    "without intercept": (lambda f: _values(f / "a.nrrd", chest_hu() + 1024), "without its intercept"),
    "no lung": (lambda f: _values(f / "a.nrrd", np.maximum(chest_hu(), -100)), "shows no lung"),
    "all air": (lambda f: _values(f / "a.nrrd", np.full((9, 40, 48), -1000, np.int16)), "nothing but air"),
    "noisy air": (
        lambda f: _values(f / "a.nrrd", np.random.default_rng(0).normal(-1000, 80, (9, 40, 48)).astype(np.int16)),
        "nothing but air",
    ),
    "NaN": (lambda f: _nan(f / "a.nrrd"), "not numbers"),
    "single slice nrrd": (lambda f: _image(f / "a.nrrd", as_image()[:, :, 3]), "single slice"),
    "one slice deep nrrd": (lambda f: _image(f / "a.nrrd", as_image()[:, :, 3:4]), "single slice"),
    "4D nrrd": (lambda f: _four_dimensional(f / "a.nrrd"), "has 4 dimensions"),
    "4D nii.gz": (lambda f: _four_dimensional(f / "a.nii.gz"), "has 4 dimensions"),
    "vectors": (lambda f: _image(f / "a.nrrd", sitk.Compose(as_image(), as_image())), "2 values a voxel"),
    "zero spacing mhd": (
        lambda f: _replaced(_image(f / "a.mhd", as_image(spacing_ijk=(0.5, 0.5, 2.0))), b"= 0.5 0.5 2", b"= 0 0.5 2"),
        "spacing of zero",
    ),
    "zero spacing nrrd": (
        lambda f: _replaced(_image(f / "a.nrrd", as_image(spacing_ijk=(0.5, 0.5, 2.0))), b"(0.5,0,0)", b"(0,0,0)"),
        "spacing of zero",
    ),
    "zero spacing nii": (lambda f: _zero_spacing_nifti(f / "a.nii"), "spacing of zero"),
    "sheared mhd": (
        lambda f: _replaced(_image(f / "a.mhd"), b"= 1 0 0 0 1 0 0 0 1", b"= 1 0 0 0.5 0.8 0 0 0 1"), "right angles",
    ),
    "sheared nrrd": (
        lambda f: _replaced(_image(f / "a.nrrd", as_image(spacing_ijk=(0.5, 0.5, 2.0))), b"(0.5,0,0)", b"(0.5,0.2,0)"),
        "right angles",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_refuses_in_one_sentence(case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    build, expected = CASES[case]
    path = build(tmp_path)
    capfd.readouterr()
    with pytest.raises(InputError, match=expected) as caught:
        check_quality(read_volume(path))
    message = str(caught.value)
    assert str(tmp_path) in message, "names the input"
    assert message.endswith(".") and "\n" not in message and not re.search(r"[.!?] [A-Z]", message), message
    assert re.search(r"[;:,] ", message), "says what to do"
    printed = capfd.readouterr()
    assert printed.out == "" and printed.err == ""


@pytest.mark.parametrize("kind", ["file", "folder", "slice"])
def test_refuses_what_may_not_be_read(kind: str, tmp_path: Path) -> None:
    paths = write_series(tmp_path / "series")
    locked = {"file": _image(tmp_path / "a.nrrd"), "folder": tmp_path / "series", "slice": paths[4]}[kind]
    asked = tmp_path / "series" if kind == "slice" else locked
    for folder in (tmp_path, *tmp_path.parents[:3]):  # pytest keeps them to their owner
        folder.chmod(folder.stat().st_mode | 0o055)
    user = os.geteuid()
    try:
        if user == 0:  # root may read everything: be nobody meanwhile
            os.seteuid(65534)
        read_volume(asked)
        os.seteuid(user)
        locked.chmod(0)
        if user == 0:
            os.seteuid(65534)
        with pytest.raises(InputError, match=r"(may not|cannot) be read.*permissions\."):
            read_volume(asked)
    finally:
        os.seteuid(user)
        locked.chmod(0o700)


def test_two_series_in_a_folder_are_not_mixed(tmp_path: Path) -> None:
    write_series(tmp_path, chest_hu((20, 40, 48)), series_uid=other_uid(1), spacing_kji=(1.0, 0.8, 0.7), prefix="thin")
    write_series(tmp_path)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.voxels, chest_hu((20, 40, 48)))
    assert volume.metadata["series_uid"] == other_uid(1)


def test_names_the_real_scan_with_thick_slices(shared_data: Path) -> None:
    folder = shared_data / "ct" / "Lung_Dx-A0002"
    with pytest.raises(InputError, match=r"Lung_Dx-A0002 has slices of 8\.0 mm, too thick"):
        check_quality(read_volume(folder))


def test_a_damaged_gzip_stream_is_refused(tmp_path: Path) -> None:
    path = _image(tmp_path / "a.nii.gz")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.nii\.gz"):
        read_volume(path)
