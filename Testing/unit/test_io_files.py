"""Reading MetaImage, NRRD and NIfTI volumes and masks."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from io_inputs import as_image, chest_hu

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.io import check_quality, read_mask, read_volume
from LungNoduleCADLib.volume import Volume

ENDINGS = [".mhd", ".mha", ".nrrd", ".nii", ".nii.gz"]


def _write(path: Path, image: sitk.Image) -> Path:
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("ending", ENDINGS)
def test_reads_every_format_alike(tmp_path: Path, ending: str) -> None:
    volume = read_volume(_write(tmp_path / f"1.3.6.1.4{ending}", as_image()))
    np.testing.assert_array_equal(volume.voxels, chest_hu())
    assert volume.voxels.dtype == np.int16
    np.testing.assert_allclose(volume.spacing_kji_mm, (2.5, 0.8, 0.7), rtol=1e-6)
    np.testing.assert_allclose(volume.origin_lps, (-20, -30, -100), rtol=1e-6)
    assert volume.metadata["series_uid"] == "1.3.6.1.4"


@pytest.mark.parametrize("ending", ENDINGS)
def test_keeps_the_direction_of_an_oblique_scan(tmp_path: Path, ending: str) -> None:
    image = as_image()
    turn = sitk.Euler3DTransform((0, 0, 0), 0.1, -0.2, 0.15)
    image.SetDirection(turn.GetMatrix())
    volume = read_volume(_write(tmp_path / f"a{ending}", image))
    for index in [(0, 0, 0), (11, 39, 47), (3, 20, 7)]:
        expected = image.TransformIndexToPhysicalPoint(index[::-1])
        np.testing.assert_allclose(volume.index_to_lps(index), expected, atol=1e-4)


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 0, 1), (0, 2, 1), (2, 1, 0)])
@pytest.mark.parametrize("flips", [(False, False, False), (True, False, True)])
def test_puts_slices_along_the_body_whatever_the_order_of_axes(
    tmp_path: Path, order: tuple[int, ...], flips: tuple[bool, ...]
) -> None:
    image = sitk.Flip(sitk.PermuteAxes(as_image(), order), flips, False)
    volume = read_volume(_write(tmp_path / "a.nrrd", image))
    assert np.argmax(np.abs(volume.direction[2])) == 2 and volume.shape == (12, 40, 48)
    original = read_volume(_write(tmp_path / "b.nrrd", as_image()))
    points = np.array([(2, 5, 9), (8, 30, 40), (0, 0, 0)])
    index = np.rint(volume.lps_to_index(original.index_to_lps(points))).astype(int)
    np.testing.assert_array_equal(volume.voxels[tuple(index.T)], original.voxels[tuple(points.T)])
    np.testing.assert_allclose(volume.index_to_lps(index), original.index_to_lps(points), atol=1e-4)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32, np.int16])
def test_whole_numbers_become_int16_and_padding_air(tmp_path: Path, kind: type) -> None:
    values = chest_hu().astype(kind)
    values[:, :4] = -3024
    volume = read_volume(_write(tmp_path / "a.nrrd", as_image(values)))
    assert volume.voxels.dtype == np.int16
    assert (volume.voxels[:, :4] == -1024).all()
    np.testing.assert_array_equal(volume.voxels[:, 4:], chest_hu()[:, 4:])


def test_fractions_stay_fractions(tmp_path: Path) -> None:
    volume = read_volume(_write(tmp_path / "a.nii.gz", as_image(chest_hu() + np.float32(0.25))))
    assert volume.voxels.dtype == np.float32
    np.testing.assert_allclose(volume.voxels, chest_hu() + 0.25)


def test_reads_a_four_dimensional_file_with_one_volume(tmp_path: Path) -> None:
    volume = read_volume(_write(tmp_path / "a.nrrd", sitk.JoinSeries([as_image()])))
    np.testing.assert_array_equal(volume.voxels, chest_hu())


def test_reads_a_nifti_file_of_two_gzip_members(tmp_path: Path) -> None:
    """Block-wise compressors write several; the size stated at the end is then the last one's alone."""
    plain = _write(tmp_path / "a.nii", as_image()).read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(plain[:9000]) + gzip.compress(plain[9000:]))
    np.testing.assert_array_equal(read_volume(tmp_path / "b.nii.gz").voxels, chest_hu())


def test_refuses_a_series_uid_for_an_image_file(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.nrrd", as_image())
    assert read_volume(path, series_uid="a").metadata["series_uid"] == "a"
    with pytest.raises(InputError, match=r"not series 1\.2\.3"):
        read_volume(path, series_uid="1.2.3")


def test_a_cube_and_a_slab_are_read_with_warnings(tmp_path: Path, shared_data: Path) -> None:
    cubes = np.load(shared_data / "lidc-nodules" / "cubes.npz")["hu"]
    path = _write(tmp_path / "cube.nrrd", as_image(cubes[0], (1.0, 1.0, 1.0)))
    codes = {f.code for f in check_quality(read_volume(path))}
    assert {"partial", "small_field_of_view"} <= codes
    slab = read_volume(shared_data / "ct" / "LIDC-IDRI-0003-slab")
    assert slab.shape == (11, 512, 512)
    assert {f.code for f in check_quality(slab)} == {"partial", "thick_slices"}


def test_no_real_cube_is_refused(shared_data: Path) -> None:
    cubes = np.load(shared_data / "lidc-nodules" / "cubes.npz")["hu"]
    for hu in cubes:
        check_quality(Volume.from_geometry(hu))


def _mask_image(shape: tuple[int, int, int] = (12, 40, 48)) -> sitk.Image:
    values = np.zeros(shape, np.uint8)
    values[3:8, 10:30, 5:20] = 3
    values[3:8, 10:30, 28:43] = 4
    return as_image(values)


@pytest.mark.parametrize("kind", [sitk.sitkUInt8, sitk.sitkInt16, sitk.sitkFloat32])
def test_reads_a_mask_on_the_same_grid(tmp_path: Path, kind: int) -> None:
    like = Volume.from_geometry(chest_hu(), spacing_kji_mm=(2.5, 0.8, 0.7), origin_lps=(-20, -30, -100))
    mask = read_mask(_write(tmp_path / "m.mhd", sitk.Cast(_mask_image(), kind)), like)
    assert mask.voxels.dtype == np.uint8 and mask.same_grid(like)
    np.testing.assert_array_equal(mask.voxels, sitk.GetArrayFromImage(_mask_image()))


def test_resamples_a_mask_of_another_grid(tmp_path: Path) -> None:
    """A flipped, finer mask comes out on the CT's grid with each label where it was."""
    like = Volume.from_geometry(chest_hu(), spacing_kji_mm=(2.5, 0.8, 0.7), origin_lps=(-20, -30, -100))
    fine = sitk.Image([96, 80, 24], sitk.sitkUInt8)
    fine.SetSpacing((0.35, 0.4, 1.25))
    fine.SetOrigin((-20.175, -30.2, -100.625))
    fine = sitk.Resample(_mask_image(), fine, sitk.Transform(), sitk.sitkNearestNeighbor)
    path = _write(tmp_path / "m.nrrd", sitk.Flip(fine, (True, False, True), False))
    mask = read_mask(path, like)
    np.testing.assert_array_equal(mask.voxels, sitk.GetArrayFromImage(_mask_image()))


def test_refuses_masks_that_mark_nothing(tmp_path: Path) -> None:
    like = Volume.from_geometry(chest_hu(), spacing_kji_mm=(2.5, 0.8, 0.7), origin_lps=(-20, -30, -100))
    with pytest.raises(InputError, match=r"empty\.nrrd is an empty mask"):
        read_mask(_write(tmp_path / "empty.nrrd", _mask_image() * 0), like)
    elsewhere = _mask_image()
    elsewhere.SetOrigin((500, 500, 500))
    with pytest.raises(InputError, match=r"far\.nrrd marks nothing within the CT"):
        read_mask(_write(tmp_path / "far.nrrd", elsewhere), like)
    with pytest.raises(InputError, match=r"ct\.nrrd is no mask \(its values run from"):
        read_mask(_write(tmp_path / "ct.nrrd", as_image()), like)
    with pytest.raises(InputError, match="is no mask file"):
        read_mask(tmp_path, like)
    with pytest.raises(InputError, match="does not exist"):
        read_mask(tmp_path / "nothing.nrrd", like)


def test_importing_the_reader_does_not_import_torch_or_pydicom() -> None:
    code = "import sys, LungNoduleCADLib.io; print(sorted({'torch', 'pydicom', 'vtk'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
