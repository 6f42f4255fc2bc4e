"""Reference nodules from LUNA16 tables, Slicer markups and masks; unusable ones are refused in one sentence."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.io.points import read_points, read_series_list
from LungNoduleCADLib.io.references import read_reference
from LungNoduleCADLib.volume import Volume

UID = "1.2.840.1"


def rotation(degrees: float) -> np.ndarray:
    a = np.deg2rad(degrees)
    return np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])


@pytest.fixture
def volume() -> Volume:
    """An oblique, flipped, anisotropic grid."""
    direction = rotation(20) @ np.diag([1.0, -1.0, -1.0])
    return Volume.from_geometry(
        np.zeros((20, 40, 50), dtype=np.int16),
        spacing_kji_mm=(2.0, 0.8, 0.7),
        origin_lps=(-30.0, 50.0, 120.0),
        direction=direction,
        metadata={"series_uid": UID},
    )


def inside(volume: Volume, k: float, j: float, i: float) -> list[float]:
    return [float(x) for x in volume.index_to_lps((k, j, i))]


def write_csv(path: Path, rows: list[list[object]], header: str = "seriesuid,coordX,coordY,coordZ,diameter_mm") -> Path:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def write_markups(path: Path, points: list[list[float]], **fields: Any) -> Path:
    controls = [{"label": f"F-{n}", "position": p, "positionStatus": "defined"} for n, p in enumerate(points, 1)]
    markup = {"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": controls, **fields}
    path.write_text(json.dumps({"@schema": "markups", "markups": [markup]}))
    return path


def as_image(voxels: np.ndarray, grid: Volume) -> sitk.Image:
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing([float(s) for s in grid.spacing_kji_mm[::-1]])
    image.SetOrigin([float(x) for x in grid.origin_lps])
    image.SetDirection([float(x) for x in grid.direction.ravel()])
    return image


# -- LUNA16 tables ------------------------------------------------------------------------------------------------


def test_csv_rows_of_the_series_are_read_by_column_name(tmp_path: Path, volume: Volume) -> None:
    x, y, z = inside(volume, 5, 10, 12)
    a, b, c = inside(volume, 8, 20, 30)
    rows = [[7.5, z, "extra", y, x, UID], [4.0, 0, "extra", 0, 0, "9.9"], [-1, c, "extra", b, a, UID]]
    path = write_csv(tmp_path / "ref.csv", rows, "diameter_mm,coordZ,note,coordY,coordX,seriesuid")
    first, second = read_reference(path, volume)
    assert first.center_lps == pytest.approx((x, y, z))
    assert first.diameter_mm == 7.5
    assert second.center_lps == pytest.approx((a, b, c))
    assert second.diameter_mm is None


def test_csv_without_diameters_and_gzipped_is_read(tmp_path: Path, volume: Volume) -> None:
    text = "seriesuid,coordX,coordY,coordZ\n{},{},{},{}\n".format(UID, *inside(volume, 5, 10, 12))
    path = tmp_path / "ref.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    (nodule,) = read_reference(path, volume)
    assert nodule.diameter_mm is None


def test_csv_points_beyond_the_volume_are_left_out(tmp_path: Path, volume: Volume) -> None:
    rows = [[UID, *inside(volume, 5, 10, 12), 6], [UID, *inside(volume, 30, 10, 12), 6]]
    assert len(read_reference(write_csv(tmp_path / "ref.csv", rows), volume)) == 1


def test_csv_of_many_series_without_this_one_says_there_is_no_nodule(tmp_path: Path, volume: Volume) -> None:
    path = write_csv(tmp_path / "ref.csv", [["9.1", 0, 0, 0, 5], ["9.2", 0, 0, 0, 5]])
    assert read_reference(path, volume) == []


def test_csv_of_one_other_series_is_refused_by_name(tmp_path: Path, volume: Volume) -> None:
    path = write_csv(tmp_path / "ref.csv", [["9.1", 0, 0, 0, 5], ["9.1", 4, 0, 0, 5]])
    with pytest.raises(InputError, match=r"series '9\.1' while the scan is '1\.2\.840\.1'"):
        read_reference(path, volume)


def test_csv_without_series_column_is_refused_with_what_it_holds(tmp_path: Path, volume: Volume) -> None:
    path = write_csv(tmp_path / "ref.csv", [[1, 2, 3, 4]], "x,coordX,coordY,coordZ")
    with pytest.raises(InputError, match=r"no column 'seriesuid' \(its first line holds: x, coordX, coordY, coordZ\)"):
        read_reference(path, volume)


@pytest.mark.parametrize("cell", ["here", "", "nan", "inf"])
def test_csv_with_a_cell_that_is_no_number_is_refused_with_its_line(tmp_path: Path, volume: Volume, cell: str) -> None:
    path = write_csv(tmp_path / "ref.csv", [[UID, 1, 2, 3, 4], [UID, 1, cell, 3, 4]])
    with pytest.raises(InputError, match="line 3"):
        read_reference(path, volume)


def test_csv_with_binary_content_or_no_row_is_refused(tmp_path: Path, volume: Volume) -> None:
    path = tmp_path / "ref.csv"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="damaged or no text"):
        read_reference(path, volume)
    with pytest.raises(InputError, match="lists no nodule"):
        read_reference(write_csv(path, []), volume)


def test_csv_for_a_scan_without_series_is_refused(tmp_path: Path, volume: Volume) -> None:
    path = write_csv(tmp_path / "ref.csv", [[UID, 1, 2, 3, 4]])
    with pytest.raises(InputError, match="no series UID"):
        read_reference(path, Volume(volume.voxels, volume.ijk_to_lps))


def test_luna16_annotations_give_the_slabs_nodule(shared_data: Path) -> None:
    uid = "1.3.6.1.4.1.14519.5.2.1.6279.6001.170706757615202213033480003264"
    grid = Volume.from_geometry(
        np.zeros((11, 200, 200), dtype=np.int16),
        spacing_kji_mm=(2.5, 0.82, 0.82),
        origin_lps=(0.0, 0.0, -205.0),
        metadata={"series_uid": uid},
    )
    (nodule,) = read_reference(shared_data / "luna16" / "annotations.csv", grid)
    assert nodule.center_lps == pytest.approx((72.29, 76.90, -190.46), abs=0.01)
    assert nodule.diameter_mm == pytest.approx(21.45, abs=0.01)


def test_points_and_series_lists_keep_order_and_repetitions(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "s.csv", [["b", 1, 2, 3, 0.5], ["a", 4, 5, 6, 0.25]], "seriesuid,coordX,coordY,coordZ,probability"
    )
    table = read_points(path, "probability")
    assert table.series.tolist() == ["b", "a"]
    assert table.lps.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert table.values.tolist() == [0.5, 0.25]
    (tmp_path / "list.csv").write_text("b\na\n\nb\n")
    assert read_series_list(tmp_path / "list.csv") == ["b", "a", "b"]


# -- markups ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("system", "sign"), [("LPS", 1), ("RAS", -1), ("1", 1), ("0", -1)])
def test_markups_are_read_in_either_coordinate_system(tmp_path: Path, volume: Volume, system: str, sign: int) -> None:
    point = inside(volume, 5, 10, 12)
    written = [sign * point[0], sign * point[1], point[2]]
    (nodule,) = read_reference(write_markups(tmp_path / "F.mrk.json", [written], coordinateSystem=system), volume)
    assert nodule.center_lps == pytest.approx(point)
    assert (nodule.label, nodule.diameter_mm) == ("F-1", None)


def test_markups_points_that_were_never_placed_are_left_out(tmp_path: Path, volume: Volume) -> None:
    path = write_markups(tmp_path / "F.mrk.json", [inside(volume, 5, 10, 12), inside(volume, 6, 10, 12)])
    content = json.loads(path.read_text())
    content["markups"][0]["controlPoints"][1]["positionStatus"] = "undefined"
    path.write_text(json.dumps(content))
    assert len(read_reference(path, volume)) == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"type": "Line"}, "holds no point .found: Line"),
        ({"controlPoints": []}, "holds no point"),
        ({"coordinateSystem": "IJK"}, "unknown coordinate system 'IJK'"),
        ({"coordinateUnits": "cm"}, "not in millimetres"),
        ({"controlPoints": [{"position": [1, 2]}]}, "without a position"),
        ({"controlPoints": [{"position": ["a", 2, 3]}]}, "without a position"),
    ],
)
def test_unusable_markups_are_refused(tmp_path: Path, volume: Volume, fields: dict[str, Any], message: str) -> None:
    path = write_markups(tmp_path / "F.mrk.json", [inside(volume, 5, 10, 12)], **fields)
    with pytest.raises(InputError, match=message):
        read_reference(path, volume)


def test_markups_outside_the_scan_are_refused(tmp_path: Path, volume: Volume) -> None:
    with pytest.raises(InputError, match="none of them within the scan"):
        read_reference(write_markups(tmp_path / "F.mrk.json", [[900.0, 0, 0]]), volume)


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', '{"markups": [3]}'])
def test_json_that_is_no_markups_file_is_refused(tmp_path: Path, volume: Volume, text: str) -> None:
    path = tmp_path / "F.mrk.json"
    path.write_text(text)
    with pytest.raises(InputError, match="save"):
        read_reference(path, volume)


# -- masks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ref.nrrd", "ref.seg.nrrd", "ref.nii.gz", "ref.mha"])
def test_parts_of_a_binary_mask_are_nodules(tmp_path: Path, volume: Volume, name: str) -> None:
    voxels = np.zeros(volume.shape, dtype=np.uint8)
    voxels[3:5, 10:14, 20:26] = 1
    voxels[12, 30, 40] = voxels[13, 31, 41] = 1  # touch at a corner: one nodule
    sitk.WriteImage(as_image(voxels, volume), str(tmp_path / name))
    first, second = read_reference(tmp_path / name, volume)
    assert first.mask is not None and second.mask is not None
    assert first.mask.start_kji == (3, 10, 20) and first.mask.voxels.shape == (2, 4, 6)
    assert first.center_lps == pytest.approx(inside(volume, 3.5, 11.5, 22.5), abs=1e-3)
    assert first.diameter_mm == pytest.approx((6 * 48 * volume.voxel_volume_mm3 / np.pi) ** (1 / 3))
    assert int(second.mask.voxels.sum()) == 2


def test_each_label_is_one_nodule_even_in_parts(tmp_path: Path, volume: Volume) -> None:
    voxels = np.zeros(volume.shape, dtype=np.uint8)
    voxels[3, 10, 20] = voxels[3, 30, 20] = 7
    voxels[9, 10:12, 20] = 2
    sitk.WriteImage(as_image(voxels, volume), str(tmp_path / "ref.nrrd"))
    counts = [int(n.mask.voxels.sum()) for n in read_reference(tmp_path / "ref.nrrd", volume) if n.mask]
    assert counts == [2, 2]


def test_layers_of_a_segmentation_may_overlap(tmp_path: Path, volume: Volume) -> None:
    layers = np.zeros((2, *volume.shape), dtype=np.uint8)
    layers[0, 3:6, 10:14, 20:24] = 1
    layers[1, 5:8, 10:14, 20:24] = 1
    image = sitk.Compose([as_image(layer, volume) for layer in layers])
    sitk.WriteImage(image, str(tmp_path / "ref.seg.nrrd"))
    counts = [int(n.mask.voxels.sum()) for n in read_reference(tmp_path / "ref.seg.nrrd", volume) if n.mask]
    assert counts == [48, 48]


def test_a_mask_on_its_own_grid_lands_on_the_volumes(tmp_path: Path, volume: Volume) -> None:
    center = np.array(inside(volume, 10, 20, 25))
    own = Volume.from_geometry(np.zeros((59, 59, 59), np.uint8), spacing_kji_mm=(0.5,) * 3, origin_lps=center - 14.5)
    k, j, i = np.ogrid[:59, :59, :59]
    ball = ((k - 29) ** 2 + (j - 29) ** 2 + (i - 29) ** 2 <= 15**2).astype(np.uint8)
    sitk.WriteImage(as_image(ball, own), str(tmp_path / "ref.nrrd"))
    (nodule,) = read_reference(tmp_path / "ref.nrrd", volume)
    assert nodule.center_lps == pytest.approx(center, abs=0.1)
    assert nodule.diameter_mm == pytest.approx(15.0, abs=0.3)
    assert nodule.mask is not None and (np.array(nodule.mask.voxels.shape) <= (9, 22, 24)).all()


def test_unusable_masks_are_refused(tmp_path: Path, volume: Volume) -> None:
    path = tmp_path / "ref.nrrd"
    away = Volume.from_geometry(np.ones((4, 4, 4), np.uint8), origin_lps=(900.0, 0, 0))
    spread = np.zeros(volume.shape, dtype=np.uint8)
    spread[::2, ::2, ::2] = 1
    for image, message in [
        (as_image(np.zeros(volume.shape, np.uint8), volume), "marks nothing"),
        (as_image(away.voxels, away), "marks nothing within the scan"),
        (as_image(np.full(volume.shape, -1000, np.int16), volume), "no mask"),
        (as_image(np.full(volume.shape, 0.5, np.float32), volume), "no mask"),
        (as_image(spread, volume), "separate parts"),
        (sitk.GetImageFromArray(np.ones((5, 5), np.uint8)), "2 dimensions"),
    ]:
        sitk.WriteImage(image, str(path))
        with pytest.raises(InputError, match=message):
            read_reference(path, volume)
    path.write_text("no image")
    with pytest.raises(InputError, match="cannot be read as a reference"):
        read_reference(path, volume)


def test_missing_file_and_folder_are_named(tmp_path: Path, volume: Volume) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_reference(tmp_path / "none.csv", volume)
    with pytest.raises(InputError, match="is a folder"):
        read_reference(tmp_path, volume)


def test_every_refusal_is_one_sentence_that_names_the_file(tmp_path: Path, volume: Volume) -> None:
    path = tmp_path / "F.mrk.json"
    for text in ("{", "[]", '{"markups": []}'):
        path.write_text(text)
        with pytest.raises(InputError) as caught:
            read_reference(path, volume)
        message = str(caught.value)
        assert message.startswith(str(path)) and message.endswith(".") and ". " not in message.replace(str(path), "")
