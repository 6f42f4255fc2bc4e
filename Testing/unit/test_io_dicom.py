"""Reading DICOM series: order, geometry, values, compression, and the choice among series."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import io_inputs
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from io_inputs import SYNTHETIC_SERIES, as_image, chest_hu, other_uid, write_series
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.io import check_quality, read_volume


def test_sorts_slices_by_position_not_by_name(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    assert [p.name for p in paths] != sorted(p.name for p in paths)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.voxels, chest_hu())
    assert volume.voxels.dtype == np.int16
    assert volume.metadata["sop_instance_uids"] == [f"{SYNTHETIC_SERIES}.{n + 1}" for n in range(12)]


def test_places_voxels_by_the_header_geometry(tmp_path: Path) -> None:
    write_series(tmp_path)
    volume = read_volume(tmp_path)
    np.testing.assert_allclose(volume.spacing_kji_mm, (2.5, 0.8, 0.7))
    np.testing.assert_allclose(volume.index_to_lps((3, 2, 1)), (-20 + 0.7, -30 + 1.6, -100 + 7.5))


@pytest.mark.parametrize(
    "orientation",
    [(-1, 0, 0, 0, -1, 0), (1, 0, 0, 0, -1, 0), (0.98480775, 0.17364818, 0, -0.17364818, 0.98480775, 0)],
    ids=["prone", "flipped", "rotated"],
)
def test_follows_the_orientation_of_the_slices(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    paths = write_series(tmp_path, orientation=orientation)
    volume = read_volume(tmp_path)
    for n, path in enumerate(paths):
        header = pydicom.dcmread(path)
        k = volume.metadata["sop_instance_uids"].index(header.SOPInstanceUID)
        position = np.array(header.ImagePositionPatient, dtype=float)
        np.testing.assert_allclose(volume.index_to_lps((k, 0, 0)), position, atol=1e-5)
        row, column = np.array(orientation, dtype=float).reshape(2, 3)
        expected = position + 4 * 0.7 * row + 5 * 0.8 * column
        np.testing.assert_allclose(volume.index_to_lps((k, 5, 4)), expected, atol=1e-4)
        np.testing.assert_array_equal(volume.voxels[k], chest_hu()[n])


def _itk_compressed(dataset: pydicom.Dataset, compressor: str, folder: Path) -> None:
    """Replace the pixels by the same ones in JPEG lossless or JPEG 2000, which GDCM encodes and pydicom does not."""
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.UseCompressionOn()
    writer.SetCompressor(compressor)
    path = folder / f"{dataset.InstanceNumber}.dcm"
    writer.SetFileName(str(path))
    writer.Execute(sitk.GetImageFromArray(dataset.pixel_array))
    encoded = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = encoded.file_meta.TransferSyntaxUID
    dataset.PixelData = encapsulate(list(generate_frames(encoded.PixelData, number_of_frames=1)))
    dataset["PixelData"].is_undefined_length = True


@pytest.mark.parametrize(
    ("compressor", "name"), [("JPEG", "JPEG Lossless"), ("JPEG2000", "JPEG 2000 Image Compression (Lossless Only)")]
)
def test_reads_jpeg_lossless_and_jpeg_2000(tmp_path: Path, compressor: str, name: str) -> None:
    scratch, folder = tmp_path / "scratch", tmp_path / "series"
    scratch.mkdir()
    paths = write_series(
        folder, syntax=ExplicitVRLittleEndian, edit=lambda dataset, n: _itk_compressed(dataset, compressor, scratch)
    )
    assert pydicom.dcmread(paths[0]).file_meta.TransferSyntaxUID.name.startswith(name)
    np.testing.assert_array_equal(read_volume(folder).voxels, chest_hu())


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEGLSLossless, RLELossless])
def test_reads_uncompressed_jpeg_ls_and_rle(tmp_path: Path, syntax: str) -> None:
    paths = write_series(tmp_path, syntax=syntax)
    assert pydicom.dcmread(paths[0]).file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(read_volume(tmp_path).voxels, chest_hu())


def test_applies_each_slice_its_own_rescale(tmp_path: Path) -> None:
    def edit(dataset: pydicom.Dataset, n: int) -> None:
        stored = np.frombuffer(dataset.PixelData, dtype=np.uint16)
        dataset.RescaleIntercept = -1024 - n
        dataset.PixelData = (stored + n).astype(np.uint16).tobytes()

    write_series(tmp_path, edit=edit)
    np.testing.assert_array_equal(read_volume(tmp_path).voxels, chest_hu())


def test_keeps_fractions_of_a_fractional_slope(tmp_path: Path) -> None:
    write_series(tmp_path, slope=0.75)
    volume = read_volume(tmp_path)
    assert volume.voxels.dtype == np.float32
    np.testing.assert_allclose(volume.voxels, chest_hu(), atol=0.376)


def _with_padding(value: int, attribute: int | None, representation: int):  # type: ignore[no-untyped-def]
    def edit(dataset: pydicom.Dataset, n: int) -> None:
        stored = np.frombuffer(dataset.PixelData, dtype=np.uint16).astype(np.int32)
        stored[:50] = value
        dataset.PixelRepresentation = representation
        dataset.PixelData = stored.astype(np.int16 if representation else np.uint16).tobytes()
        if attribute is not None:
            dataset.add_new("PixelPaddingValue", "US" if attribute > 32767 else "SS", attribute)

    return edit


@pytest.mark.parametrize(
    ("stored", "attribute"), [(-2000, -2000), (-2000, 63536), (-2000, None), (20000, 20000)], ids=str
)
def test_makes_padding_air(tmp_path: Path, stored: int, attribute: int | None) -> None:
    write_series(tmp_path, syntax=ExplicitVRLittleEndian, edit=_with_padding(stored, attribute, representation=1))
    volume = read_volume(tmp_path)
    expected = chest_hu()
    expected.reshape(12, -1)[:, :50] = -1024
    np.testing.assert_array_equal(volume.voxels, expected)


def test_does_not_take_water_for_padding(tmp_path: Path) -> None:
    write_series(tmp_path, syntax=ExplicitVRLittleEndian, edit=lambda d, n: d.add_new("PixelPaddingValue", "SS", 1024))
    assert np.count_nonzero(chest_hu() == 0) > 0
    np.testing.assert_array_equal(read_volume(tmp_path).voxels, chest_hu())


def test_straightens_a_tilted_gantry_and_warns(tmp_path: Path) -> None:
    """The table moves along z while the slices are tilted about the x axis: each slice lies lower in its own plane."""
    angle = np.radians(10.0)
    orientation = (1, 0, 0, 0, float(np.cos(angle)), float(np.sin(angle)))
    shape, spacing = (20, 60, 48), (1.0, 0.8, 0.7)
    origin = np.array([-20.0, -30.0, -100.0])
    column, normal = np.array(orientation[3:]), np.cross(orientation[:3], orientation[3:])
    j, i = np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij")
    points = np.array([origin + k * np.array([0, 0, 1.0]) for k in range(shape[0])])[:, None, None, :] + (
        i[..., None] * 0.7 * np.array(orientation[:3]) + j[..., None] * 0.8 * column
    )
    ball = np.array([-4.0, -8.0, -86.0])
    hu = np.where(np.linalg.norm(points - ball, axis=-1) < 5.0, 50, -800).astype(np.int16)
    write_series(tmp_path, hu, spacing_kji=spacing, origin=tuple(origin), orientation=orientation, step=(0, 0, 1.0))

    volume = read_volume(tmp_path)
    center = volume.index_to_lps(np.argwhere(volume.voxels > -400)).mean(axis=0)
    np.testing.assert_allclose(center, ball, atol=0.3)
    np.testing.assert_allclose(np.abs(volume.direction[:, 2] @ normal), 1.0, atol=1e-6)
    codes = {f.code for f in check_quality(volume)}
    assert {"tilted_gantry", "tilted"} <= codes


def test_ignores_structure_sets_and_other_files(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    structure = pydicom.dcmread(paths[0])
    for keyword in ("PixelData", "Rows", "Columns", "ImagePositionPatient"):
        delattr(structure, keyword)
    structure.Modality, structure.SOPClassUID = "RTSTRUCT", "1.2.840.10008.5.1.4.1.1.481.3"
    structure.save_as(tmp_path / "RTSTRUCT.dcm")
    (tmp_path / "notes.txt").write_text("nothing to see")
    (tmp_path / "._0001.dcm").write_bytes(b"resource fork")
    assert read_volume(tmp_path).shape == (12, 40, 48)


def test_chooses_the_thin_chest_series_and_says_why(tmp_path: Path) -> None:
    def write_series(*args: Any, **kwargs: Any) -> None:  # encoding 300 slices would take most of the time
        io_inputs.write_series(*args, syntax=ExplicitVRLittleEndian, **kwargs)

    thin, thick, head = other_uid(1), other_uid(2), other_uid(3)
    write_series(tmp_path / "a", chest_hu((41, 40, 48)), series_uid=thick, spacing_kji=(2.5, 0.8, 0.7))
    write_series(tmp_path / "b", chest_hu((101, 40, 48)), series_uid=thin, spacing_kji=(1.0, 0.8, 0.7))
    write_series(
        tmp_path / "c",
        chest_hu((150, 40, 48)),
        series_uid=head,
        spacing_kji=(0.6, 0.8, 0.7),
        SeriesDescription="Head 0.6",
    )
    write_series(tmp_path / "d", chest_hu((3, 40, 48)), series_uid=other_uid(4), Modality="MR")
    write_series(
        tmp_path / "e", chest_hu((2, 40, 48)), series_uid=other_uid(5), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    )
    volume = read_volume(tmp_path)
    assert volume.metadata["series_uid"] == thin
    selection = volume.metadata["selection"]
    assert "its slices are closer" in selection and "101 slices of 1 mm" in selection
    assert "it is MR, not CT" in selection and "localiser" in selection and "Head 0.6" in selection

    assert read_volume(tmp_path, series_uid=thick).metadata["series_uid"] == thick
    with pytest.raises(InputError, match=r"holds no series 1\.2\.3; choose one of"):
        read_volume(tmp_path, series_uid="1.2.3")


def test_prefers_original_over_reformatted_slices(tmp_path: Path) -> None:
    original = other_uid(6)
    write_series(tmp_path / "a", chest_hu((51, 40, 48)), series_uid=original, spacing_kji=(2.0, 0.8, 0.7))
    write_series(
        tmp_path / "b", chest_hu((101, 40, 48)), series_uid=other_uid(7), spacing_kji=(1.0, 0.8, 0.7),
        ImageType=["DERIVED", "SECONDARY", "AXIAL", "MIP"],
    )  # fmt: skip
    volume = read_volume(tmp_path)
    assert volume.metadata["series_uid"] == original
    assert "original" in volume.metadata["selection"]


def test_one_file_stands_for_its_series(tmp_path: Path) -> None:
    write_series(tmp_path, chest_hu((30, 40, 48)), series_uid=other_uid(8), prefix="x")
    paths = write_series(tmp_path)
    assert read_volume(paths[3]).metadata["series_uid"] == SYNTHETIC_SERIES


def test_drops_scout_views_that_share_the_series(tmp_path: Path) -> None:
    write_series(tmp_path)
    write_series(
        tmp_path,
        chest_hu((1, 30, 30)),
        prefix="scout",
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
        origin=(0, 0, 0),
    )
    assert read_volume(tmp_path).shape == (12, 40, 48)


def test_slightly_uneven_slices_are_read_with_a_warning(tmp_path: Path) -> None:
    def edit(dataset: pydicom.Dataset, n: int) -> None:
        dataset.ImagePositionPatient[2] = float(dataset.ImagePositionPatient[2]) + (0.2 if n == 5 else 0)

    write_series(tmp_path, edit=edit)
    findings = {f.code: f for f in check_quality(read_volume(tmp_path))}
    assert "from 2.30 to 2.70 mm" in findings["irregular_spacing"].message


def test_agrees_with_itk_on_a_whole_real_scan(shared_data: Path) -> None:
    folder = shared_data / "ct" / "113_HM10395"  # holds an RTSTRUCT too
    volume = read_volume(folder)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), volume.metadata["series_uid"]))
    image = reader.Execute()
    np.testing.assert_array_equal(volume.voxels, sitk.GetArrayViewFromImage(image))
    np.testing.assert_allclose(volume.spacing_kji_mm[::-1], image.GetSpacing(), atol=1e-6)
    np.testing.assert_allclose(volume.origin_lps, image.GetOrigin(), atol=1e-6)
    np.testing.assert_allclose(volume.direction.ravel(), image.GetDirection(), atol=1e-9)


@pytest.mark.parametrize(
    "name", ["R01-001", "LIDC-IDRI-0314", "C3N-00247", "113_HM10395", "MSB-01068", "LIDC-IDRI-0003-slab"]
)
def test_agrees_with_pydicom_on_slices_of_real_scans(shared_data: Path, name: str, tmp_path: Path) -> None:
    """Three neighbouring slices of each scan, decoded by another library (pydicom with pyjpegls)."""
    for path in sorted((shared_data / "ct" / name).glob("0*.dcm"))[5:8]:
        (tmp_path / path.name).symlink_to(path)
    volume = read_volume(tmp_path)
    for path in tmp_path.glob("*.dcm"):
        dataset = pydicom.dcmread(path)
        k = volume.metadata["sop_instance_uids"].index(dataset.SOPInstanceUID)
        hu = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        np.testing.assert_array_equal(volume.voxels[k], np.maximum(hu, -1024))
        np.testing.assert_allclose(volume.index_to_lps((k, 0, 0)), np.array(dataset.ImagePositionPatient, float))


def test_the_same_scan_is_the_same_volume_in_dicom_and_nrrd(tmp_path: Path) -> None:
    """DICOM and NRRD of the same voxels are the same volume."""
    write_series(tmp_path / "dicom")
    sitk.WriteImage(as_image(), str(tmp_path / "same.nrrd"))
    one, other = read_volume(tmp_path / "dicom"), read_volume(tmp_path / "same.nrrd")
    assert one.same_grid(other)
    np.testing.assert_array_equal(one.voxels, other.voxels)


def _blank_uids(paths: Iterable[Path], keywords: Sequence[str]) -> None:
    """As anonymisers do that empty every identifier of the image and forget the file meta information."""
    for path in paths:
        dataset = pydicom.dcmread(path)
        for keyword in keywords:
            setattr(dataset, keyword, "")
        dataset.save_as(path)


def test_reads_a_series_whose_uids_were_blanked(tmp_path: Path) -> None:
    write_series(tmp_path / "whole", hu=chest_hu())
    paths = write_series(tmp_path / "case 7", hu=chest_hu())
    _blank_uids(paths, ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])

    blank, whole = read_volume(tmp_path / "case 7"), read_volume(tmp_path / "whole")

    np.testing.assert_array_equal(blank.voxels, whole.voxels)
    assert blank.metadata["series_uid"] == "case 7"
    assert blank.metadata["format"] == "DICOM without UIDs"
    assert [f.code for f in check_quality(blank)] == ["no_uids", *(f.code for f in check_quality(whole))]
    assert "Series without UID ('Thorax'" in blank.metadata["selection"]
    assert read_volume(paths[0]).voxels.shape == whole.voxels.shape


def test_keeps_two_series_without_uids_apart(tmp_path: Path) -> None:
    paths = write_series(tmp_path, hu=chest_hu())
    others = write_series(tmp_path, hu=chest_hu()[:4], prefix="b", SeriesDescription="Thorax 2", series_uid="1.2.3")
    _blank_uids([*paths, *others], ["SeriesInstanceUID"])

    assert len(read_volume(tmp_path).voxels) == len(paths)
