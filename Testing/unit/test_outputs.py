"""The result as files: tables, images, markups and the overview picture."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image
from result_inputs import AXES, make_result, make_volume

from LungNoduleCADLib.app.console import describe_outcome
from LungNoduleCADLib.app.detect import DetectionOutcome
from LungNoduleCADLib.app.outputs import write_outputs
from LungNoduleCADLib.errors import OutputError
from LungNoduleCADLib.findings import DetectionResult, ReferenceNodule, VoxelMask
from LungNoduleCADLib.report.colors import STATUS_COLORS, candidate_color, score_color
from LungNoduleCADLib.report.images import HEATMAP_STEPS, write_heatmap, write_segmentation
from LungNoduleCADLib.report.items import label_layers, report_items, resolve_match, sphere_mask
from LungNoduleCADLib.report.markups import write_markups
from LungNoduleCADLib.report.overview import MAX_ROWS, PANEL_PX, write_overview
from LungNoduleCADLib.report.planes import AXIAL, CORONAL, SAGITTAL, cut, cut_mask, extent_lps
from LungNoduleCADLib.report.record import read_record
from LungNoduleCADLib.report.results import write_results
from LungNoduleCADLib.report.tables import CSV_COLUMNS, write_candidates_csv, write_findings_json
from LungNoduleCADLib.volume import Volume

ALL_FILES = {
    "candidates.csv",
    "findings.json",
    "heatmap.nrrd",
    "segmentation.seg.nrrd",
    "markups.mrk.json",
    "overview.png",
    "scene.mrb",
}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def references_for(result: DetectionResult, volume: Volume) -> list[ReferenceNodule]:
    """The first candidate's nodule, one nobody found, and one nobody found whose size is unknown."""
    places = [volume.index_to_lps((6.0, 12.0, 12.0)), volume.index_to_lps((12.0, 50.0, 8.0))]
    a, b = ((float(x), float(y), float(z)) for x, y, z in places)
    return [
        ReferenceNodule(result.candidates[0].center_lps, 16.0, "a"),
        ReferenceNodule(a, 6.0, "b"),
        ReferenceNodule(b, None, "c"),
    ]


def load_with_slicer(storage: Any, class_name: str, path: Path) -> Any:
    """Read a file into a new node of a new scene, with Slicer's own reader."""
    from LungNoduleCADLib.scene import open_standalone_scene

    host = open_standalone_scene()
    node = host.scene.AddNewNodeByClass(class_name)
    host.scene.AddNode(storage)
    storage.SetFileName(str(path))
    assert storage.ReadData(node) == 1
    node.host = host  # the scene must outlive the function
    return node


# -- tables -----------------------------------------------------------------------------------------------------------
def test_csv_begins_with_the_fixed_columns_and_lists_every_candidate_best_first(tmp_path: Path) -> None:
    volume = make_volume()
    result = make_result(volume)
    write_candidates_csv(result, tmp_path / "candidates.csv")
    text = (tmp_path / "candidates.csv").read_text(encoding="utf-8")
    assert text.startswith("seriesuid,coordX,coordY,coordZ,probability,diameter_mm,malignancy,malignancy_by_diameter,")
    rows = rows_of(tmp_path / "candidates.csv")
    assert [float(r["probability"]) for r in rows] == [0.93, 0.61, 0.12]
    assert {r["seriesuid"] for r in rows} == {"1.2.840.1"}
    for row, candidate in zip(rows, result.candidates, strict=True):
        place = [float(row[c]) for c in ("coordX", "coordY", "coordZ")]
        np.testing.assert_allclose(place, candidate.center_lps, atol=5e-4)
        assert float(row["diameter_mm"]) == candidate.measurements.diameter_mm
        assert row["density"] == "solid"
        assert (float(row["malignancy"]), float(row["malignancy_by_diameter"])) == (0.4, 0.3)


def test_csv_leaves_unknown_malignancy_empty(tmp_path: Path) -> None:
    result = make_result(make_volume(), malignancy=None, by_diameter=None)
    write_candidates_csv(result, tmp_path / "candidates.csv")
    rows = rows_of(tmp_path / "candidates.csv")
    assert {(r["malignancy"], r["malignancy_by_diameter"]) for r in rows} == {("", "")}


def test_csv_has_a_status_only_with_a_reference(tmp_path: Path) -> None:
    volume = make_volume()
    result = make_result(volume)
    match = resolve_match(result, references_for(result, volume), None)
    write_candidates_csv(result, tmp_path / "with.csv", match)
    write_candidates_csv(result, tmp_path / "without.csv")
    assert [r["status"] for r in rows_of(tmp_path / "with.csv")] == ["TP", "FP", ""]
    assert tuple(rows_of(tmp_path / "without.csv")[0]) == CSV_COLUMNS


@pytest.mark.parametrize("name", ["=1+2", "+1", "-1", "@SUM(A1)", "\tx"])
def test_csv_cannot_smuggle_a_formula_into_a_spreadsheet(tmp_path: Path, name: str) -> None:
    result = replace(make_result(make_volume()), series={"series_uid": name})
    write_candidates_csv(result, tmp_path / "candidates.csv")
    assert rows_of(tmp_path / "candidates.csv")[0]["seriesuid"] == "'" + name


def test_csv_survives_commas_and_quotes_in_the_name(tmp_path: Path) -> None:
    result = replace(make_result(make_volume()), series={"series_uid": 'scan, "left"'})
    write_candidates_csv(result, tmp_path / "candidates.csv")
    assert rows_of(tmp_path / "candidates.csv")[0]["seriesuid"] == 'scan, "left"'


def test_json_holds_the_whole_result(tmp_path: Path) -> None:
    volume = make_volume()
    result = make_result(volume)
    write_findings_json(result, volume, tmp_path / "findings.json")
    content = json.loads((tmp_path / "findings.json").read_text(encoding="utf-8"))
    for key in ("threshold", "candidates", "series", "settings", "model", "versions", "timings_s", "warnings"):
        assert key in content
    assert "research" in content["disclaimer"].lower()
    assert "reference_match" not in content
    assert content["warnings"] == ["thick slices"]
    assert [c["above_threshold"] for c in content["candidates"]] == [True, True, False]
    first = content["candidates"][0]
    assert first["center_lps"] == list(result.candidates[0].center_lps)
    assert first["slice_number"] == 13  # index 12
    assert first["mask_voxels"] == int(result.candidates[0].mask.voxels.sum())
    assert first["density"] == "solid"
    assert (first["malignancy"], first["malignancy_by_diameter"]) == (0.4, 0.3)


def test_a_result_from_before_the_baseline_still_reads(tmp_path: Path) -> None:
    volume = make_volume()
    write_results(make_result(volume), volume, tmp_path)
    assert {c.malignancy_by_diameter for c in read_record(tmp_path).result.candidates} == {0.3}
    content = json.loads((tmp_path / "findings.json").read_text(encoding="utf-8"))
    for entry in content["candidates"]:
        del entry["malignancy_by_diameter"]
    (tmp_path / "findings.json").write_text(json.dumps(content), encoding="utf-8")
    candidates = read_record(tmp_path).result.candidates
    assert {(c.malignancy, c.malignancy_by_diameter) for c in candidates} == {(0.4, None)}
    assert report_items(replace(make_result(volume), candidates=candidates), volume, None)[0].description == (
        "score 0.93; 16.0 mm; solid, mean 40 HU; malignancy 0.40 (by diameter not known)"
    )


@pytest.mark.parametrize(
    ("malignancy", "by_diameter", "cell"), [(0.4, 0.3, "0.40 (0.30)"), (0.4, None, "0.40 (-)"), (None, None, "-")]
)
def test_the_printed_table_has_both_malignancy_figures(
    malignancy: float | None, by_diameter: float | None, cell: str, tmp_path: Path
) -> None:
    volume = make_volume()
    outcome = DetectionOutcome(make_result(volume, 0.5, malignancy, by_diameter), volume, None, ())
    heading, first, *_ = describe_outcome(outcome, tmp_path).splitlines()[2:]
    assert "malignancy (by diameter)" in heading
    assert f"solid  {cell.rjust(len('malignancy (by diameter)'))}  " in first


def test_json_writes_the_match_with_a_reference(tmp_path: Path) -> None:
    volume = make_volume()
    result = make_result(volume)
    match = resolve_match(result, references_for(result, volume), None)
    write_findings_json(result, volume, tmp_path / "findings.json", match)
    content = json.loads((tmp_path / "findings.json").read_text(encoding="utf-8"))
    assert [c["status"] for c in content["candidates"]] == ["TP", "FP", None]
    assert content["reference_match"]["false_negatives"] == 2


def test_json_turns_numpy_paths_and_nan_into_plain_json(tmp_path: Path) -> None:
    volume = make_volume()
    settings = {"spacing": np.array([1.0, 2.0]), "n": np.int64(3), "file": Path("a") / "b", "bad": float("nan")}
    write_findings_json(replace(make_result(volume), settings=settings), volume, tmp_path / "findings.json")
    content = json.loads((tmp_path / "findings.json").read_text(encoding="utf-8"))
    expected = {"spacing": [1.0, 2.0], "n": 3, "file": str(Path("a") / "b"), "bad": None}
    assert content["settings"] == expected


# -- images -----------------------------------------------------------------------------------------------------------
def test_heatmap_keeps_values_and_geometry(tmp_path: Path) -> None:
    heatmap = make_result(make_volume()).heatmap
    assert heatmap is not None
    write_heatmap(heatmap, tmp_path / "heatmap.nrrd")
    image = sitk.ReadImage(str(tmp_path / "heatmap.nrrd"))
    values = sitk.GetArrayFromImage(image) / HEATMAP_STEPS
    np.testing.assert_allclose(values, heatmap.voxels, atol=0.5 / HEATMAP_STEPS + 1e-6)
    for index in ((0, 0, 0), (29, 39, 49)):
        point = image.TransformIndexToPhysicalPoint(index[::-1])
        np.testing.assert_allclose(point, heatmap.index_to_lps(index), atol=1e-6)
    assert (tmp_path / "heatmap.nrrd").stat().st_size < heatmap.voxels.size / 4


@pytest.mark.parametrize("axes", list(AXES))
def test_segmentation_labels_are_candidate_ids_on_the_scan_grid(tmp_path: Path, axes: str) -> None:
    volume = make_volume(axes)
    result = make_result(volume)
    write_segmentation(report_items(result, volume), volume, tmp_path / "segmentation.seg.nrrd")
    image = sitk.ReadImage(str(tmp_path / "segmentation.seg.nrrd"))
    labels = sitk.GetArrayFromImage(image)
    assert labels.shape == volume.shape
    for candidate in result.candidates:
        np.testing.assert_array_equal(np.argwhere(labels == candidate.id), mask_indices(candidate.mask))
    last = image.TransformIndexToPhysicalPoint([n - 1 for n in volume.shape[::-1]])
    np.testing.assert_allclose(last, volume.index_to_lps(np.subtract(volume.shape, 1)), atol=1e-6)


def mask_indices(mask: Any) -> np.ndarray:
    return np.argwhere(mask.voxels) + np.asarray(mask.start_kji)


@pytest.mark.parametrize("overlap", [False, True])
def test_segmentation_opens_in_slicer_with_names_colours_and_voxels(tmp_path: Path, overlap: bool) -> None:
    import slicer

    from LungNoduleCADLib.scene import segment_mask

    volume = make_volume()
    result = make_result(volume)
    x, y, z = result.candidates[1].center_lps
    references = [ReferenceNodule((x, y + 5.5, z), 9.0)] if overlap else None
    items = report_items(result, volume, resolve_match(result, references, None))
    assert len(label_layers(items)) == (2 if overlap else 1)
    write_segmentation(items, volume, tmp_path / "segmentation.seg.nrrd")

    storage = slicer.vtkMRMLSegmentationStorageNode()
    node = load_with_slicer(storage, "vtkMRMLSegmentationNode", tmp_path / "segmentation.seg.nrrd")
    segmentation = node.GetSegmentation()
    assert [segmentation.GetNthSegmentID(n) for n in range(len(items))] == [i.label for i in items]
    for item in items:
        segment = segmentation.GetSegment(item.label)
        assert segment.GetName() == item.label
        assert "SCT^427359005^Lung nodule" in segment.GetTerminology()
        np.testing.assert_allclose(segment.GetColor(), item.color, atol=1e-5)
        np.testing.assert_array_equal(mask_indices(segment_mask(node, item.label)), mask_indices(item.mask))


def test_segmentation_without_candidates_opens_in_slicer(tmp_path: Path) -> None:
    import slicer

    volume = make_volume()
    write_segmentation([], volume, tmp_path / "segmentation.seg.nrrd")
    storage = slicer.vtkMRMLSegmentationStorageNode()
    node = load_with_slicer(storage, "vtkMRMLSegmentationNode", tmp_path / "segmentation.seg.nrrd")
    assert node.GetSegmentation().GetNumberOfSegments() == 0


def test_more_than_255_candidates_keep_their_ids(tmp_path: Path) -> None:
    volume = make_volume()
    result = make_result(volume)
    many = replace(result, candidates=(replace(result.candidates[0], id=300), *result.candidates[1:]))
    write_segmentation(report_items(many, volume), volume, tmp_path / "segmentation.seg.nrrd")
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "segmentation.seg.nrrd")))
    assert labels.max() == 300


def test_image_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    heatmap = make_result(make_volume()).heatmap
    assert heatmap is not None
    with pytest.raises(OutputError, match=r"heatmap\.nrrd could not be written"):
        write_heatmap(heatmap, tmp_path / "missing" / "heatmap.nrrd")


def test_sphere_has_its_volume_and_is_cut_at_the_border() -> None:
    volume = make_volume()
    center = volume.index_to_lps((12.0, 30.0, 25.0))
    mask = sphere_mask(center, 12.0, volume)
    assert mask is not None
    assert abs(mask.voxels.sum() * volume.voxel_volume_mm3 / (np.pi / 6 * 12.0**3) - 1) < 0.1
    np.testing.assert_allclose(mask_indices(mask).mean(axis=0), (12, 30, 25), atol=0.01)
    tiny = sphere_mask(center, 0.1, volume)
    assert tiny is not None
    assert tiny.voxels.sum() == 1
    assert sphere_mask(volume.index_to_lps((-40.0, 0.0, 0.0)), 12.0, volume) is None
    border = sphere_mask(volume.index_to_lps((0.0, 0.0, 0.0)), 12.0, volume)
    assert border is not None
    assert border.start_kji == (0, 0, 0)


# -- markups ----------------------------------------------------------------------------------------------------------
def test_markups_open_in_slicer(tmp_path: Path) -> None:
    import slicer

    volume = make_volume()
    result = make_result(volume)
    write_markups(report_items(result, volume), tmp_path / "markups.mrk.json")
    storage = slicer.vtkMRMLMarkupsJsonStorageNode()
    node = load_with_slicer(storage, "vtkMRMLMarkupsFiducialNode", tmp_path / "markups.mrk.json")
    assert node.GetNumberOfControlPoints() == 3
    for n, candidate in enumerate(result.candidates):
        x, y, z = node.GetNthControlPointPosition(n)
        assert (-x, -y, z) == candidate.center_lps
        assert node.GetNthControlPointLabel(n) == f"N{candidate.id}"
        assert node.GetNthControlPointDescription(n).startswith(f"score {candidate.score:.2f}; ")
        assert bool(node.GetNthControlPointVisibility(n)) == (candidate.score >= 0.5)
    scores = node.GetMeasurement("score").GetControlPointValues()
    assert [scores.GetValue(n) for n in range(3)] == [c.score for c in result.candidates]


def test_markups_have_a_list_of_missed_nodules(tmp_path: Path) -> None:
    volume = make_volume()
    result = make_result(volume)
    items = report_items(result, volume, resolve_match(result, references_for(result, volume), None))
    write_markups(items, tmp_path / "markups.mrk.json")
    found, missed = json.loads((tmp_path / "markups.mrk.json").read_text(encoding="utf-8"))["markups"]
    assert [p["selected"] for p in found["controlPoints"]] == [True, False, True]
    assert found["display"]["selectedColor"] == list(STATUS_COLORS["TP"])
    assert found["display"]["color"] == list(STATUS_COLORS["FP"])
    assert [p["label"] for p in missed["controlPoints"]] == ["FN1", "FN2"]
    assert missed["display"]["selectedColor"] == list(STATUS_COLORS["FN"])


def test_candidate_on_a_found_nodule_is_neither_green_nor_red(tmp_path: Path) -> None:
    volume = make_volume()
    result = make_result(volume)
    twin = replace(result.candidates[1], center_lps=result.candidates[0].center_lps)
    result = replace(result, candidates=(result.candidates[0], twin))
    references = references_for(result, volume)[:1]
    first, second = report_items(result, volume, resolve_match(result, references, None))
    assert (first.status, first.color) == ("TP", STATUS_COLORS["TP"])
    assert (second.status, second.color) == ("ignored", STATUS_COLORS["ignored"])


def test_score_colours_grow_lighter_and_differ_from_status_colours() -> None:
    lightness = [np.dot(score_color(s), (0.299, 0.587, 0.114)) for s in np.linspace(0, 1, 21)]
    assert (np.diff(lightness) > 0).all()
    assert candidate_color(0.7, None) == score_color(0.7)
    for color in STATUS_COLORS.values():
        assert min(np.linalg.norm(np.subtract(color, score_color(s))) for s in np.linspace(0, 1, 21)) > 0.2


# -- overview ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("axes", list(AXES))
def test_planes_show_the_body_upright_whatever_the_grid(axes: str) -> None:
    volume = make_volume(axes)
    candidate = make_result(volume).candidates[0]
    size = (45, 45)
    for plane in (AXIAL, CORONAL, SAGITTAL):
        picture = cut(volume, plane, candidate.center_lps, size, 0.5)
        bright = np.argwhere(picture > -300)
        # A ball of 16 mm around the middle: round on the page, although the voxels are 2.5 x 0.7 x 0.9 mm.
        extent_mm = (bright.max(axis=0) - bright.min(axis=0)) * 0.5
        np.testing.assert_allclose(extent_mm, 16.0, atol=3.0)
        np.testing.assert_allclose(bright.mean(axis=0), 22.0, atol=2.0)
        inside = cut_mask(candidate.mask, volume, plane, candidate.center_lps, size, 0.5)
        nodule = picture > -405  # half-way between lung and ball
        assert (inside & nodule).sum() / (inside | nodule).sum() > 0.85


def test_a_mask_of_one_slice_is_as_thick_as_the_slice_in_every_plane() -> None:
    volume = Volume(np.zeros((9, 21, 21), dtype=np.int16), np.diag([1.0, 1.0, 3.0, 1.0]), {})
    mask = VoxelMask((4, 8, 8), np.ones((1, 5, 5), dtype=bool))
    center = volume.index_to_lps((4, 10, 10))
    for plane, height in ((AXIAL, 5.0), (CORONAL, 3.0), (SAGITTAL, 3.0)):
        inside = np.argwhere(cut_mask(mask, volume, plane, center, (80, 80), 0.25))
        assert len(inside), f"{plane.name} shows nothing of it"
        size_mm = (np.ptp(inside, axis=0) + 1) * 0.25
        np.testing.assert_allclose(size_mm, (height, 5.0), atol=0.51)


def test_planes_follow_the_radiological_convention() -> None:
    volume = make_volume("oblique")
    volume.voxels[:] = -1000
    middle = volume.index_to_lps(np.divide(volume.shape, 2))
    left_posterior_superior = middle + np.array([10.0, 8.0, 6.0])
    index = np.round(volume.lps_to_index(left_posterior_superior)).astype(int)
    volume.voxels[tuple(slice(v - 1, v + 2) for v in index)] = 1000
    marker = volume.index_to_lps(index)
    for plane, right, down in ((AXIAL, 0, 1), (CORONAL, 0, 2), (SAGITTAL, 1, 2)):
        depth = ({0, 1, 2} - {right, down}).pop()
        center = middle.copy()
        center[depth] = marker[depth]
        row, column = np.argwhere(cut(volume, plane, center, (101, 101), 0.5) > 500).mean(axis=0)
        sign = 1 if plane is AXIAL else -1  # the head is at the top
        np.testing.assert_allclose((column - 50) * 0.5, (marker - middle)[right], atol=1.0)
        np.testing.assert_allclose((row - 50) * 0.5, sign * (marker - middle)[down], atol=1.0)


def test_place_beyond_the_scan_is_not_a_number() -> None:
    volume = make_volume("standard")
    low, _ = extent_lps(volume)
    picture = cut(volume, AXIAL, volume.index_to_lps((12.0, 30.0, 0.0)), (41, 41), 1.0)
    assert np.isnan(picture[:, :20]).all()
    assert not np.isnan(picture[20, 21:]).any()
    assert np.isnan(cut(volume, AXIAL, low - 100.0, (5, 5), 1.0)).all()


def picture_of(path: Path, result: DetectionResult, volume: Volume, match: Any = None) -> np.ndarray:
    write_overview(report_items(result, volume, match), result, volume, path)
    return np.asarray(Image.open(path))


def pixels_of(picture: np.ndarray, color: tuple[float, float, float]) -> int:
    return int((picture == np.round(np.multiply(color, 255))).all(axis=-1).sum())


def test_overview_outlines_candidates_above_the_threshold_only(tmp_path: Path) -> None:
    volume = make_volume()
    result = make_result(volume)
    picture = picture_of(tmp_path / "overview.png", result, volume)
    shown = [pixels_of(picture, score_color(c.score)) for c in result.candidates]
    assert min(shown[:2]) > 200
    assert shown[2] == 0
    assert 2 * PANEL_PX < picture.shape[0] < 3 * PANEL_PX  # two rows


def test_overview_marks_found_false_and_missed(tmp_path: Path) -> None:
    volume = make_volume()
    result = make_result(volume)
    match = resolve_match(result, references_for(result, volume), None)
    picture = picture_of(tmp_path / "overview.png", result, volume, match)
    for status in ("TP", "FP", "FN"):
        assert pixels_of(picture, STATUS_COLORS[status]) > 200


def test_overview_without_candidates_shows_the_scan(tmp_path: Path) -> None:
    volume = make_volume("standard")
    result = replace(make_result(volume), threshold=0.99)
    picture = picture_of(tmp_path / "overview.png", result, volume)
    grey = (picture[..., 0] == picture[..., 1]) & (picture[..., 1] == picture[..., 2])
    rows, columns = np.nonzero(grey & (picture[..., 0] > 40) & (picture[..., 0] < 120))
    low, high = extent_lps(volume)
    drawn = (np.ptp(columns) + 1) / (np.ptp(rows) + 1)
    assert abs(drawn / ((high - low)[0] / (high - low)[2]) - 1) < 0.05  # the body's proportions


def test_overview_of_many_candidates_stops_growing(tmp_path: Path) -> None:
    volume = make_volume()
    result = make_result(volume)
    crowd = tuple(replace(result.candidates[n % 3], id=n + 1, score=0.9 - n / 1000) for n in range(MAX_ROWS + 30))
    full = picture_of(tmp_path / "full.png", replace(result, candidates=crowd[:MAX_ROWS]), volume)
    more = picture_of(tmp_path / "more.png", replace(result, candidates=crowd), volume)
    assert more.shape == full.shape


def test_overview_keeps_room_for_missed_nodules(tmp_path: Path) -> None:
    volume = make_volume()
    result = make_result(volume)
    crowd = tuple(replace(result.candidates[1], id=n + 2, score=0.8) for n in range(MAX_ROWS + 5))
    result = replace(result, candidates=(result.candidates[0], *crowd))
    match = resolve_match(result, references_for(result, volume), None)
    picture = picture_of(tmp_path / "overview.png", result, volume, match)
    assert pixels_of(picture, STATUS_COLORS["FN"]) > 200


# -- all together -----------------------------------------------------------------------------------------------------
def test_every_file_is_written(tmp_path: Path) -> None:
    volume = make_volume()
    result = make_result(volume)
    write_outputs(result, volume, tmp_path, references=references_for(result, volume))
    assert {p.name for p in tmp_path.iterdir()} == ALL_FILES
    assert all(p.stat().st_size > 0 for p in tmp_path.iterdir())
    assert [r["status"] for r in rows_of(tmp_path / "candidates.csv")] == ["TP", "FP", ""]


def test_result_without_heatmap_or_candidates_is_written_too(tmp_path: Path) -> None:
    volume = make_volume()
    result = replace(make_result(volume), candidates=(), heatmap=None)
    write_outputs(result, volume, tmp_path, scene=False)
    assert {p.name for p in tmp_path.iterdir()} == ALL_FILES - {"heatmap.nrrd", "scene.mrb"}
    assert rows_of(tmp_path / "candidates.csv") == []
