"""Heat maps over a scan, and the FROC plot, on Slicer's own MRML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chart_view import draw_chart
from result_inputs import AXES
from review_inputs import Reviewed, after, make_scene, save_and_load
from vtkmodules.vtkCommonMath import vtkMatrix4x4

from LungNoduleCADLib.evaluation.free_response import FrocCurve, free_response
from LungNoduleCADLib.explain.heat import HEAT_OPACITY, heat_colors, visible_from
from LungNoduleCADLib.findings import ReferenceNodule
from LungNoduleCADLib.review import Accept, Comparison, Reject
from LungNoduleCADLib.review.pooled import pooled_outcomes
from LungNoduleCADLib.scene.detections import all_detections, find_detection, remove_detection
from LungNoduleCADLib.scene.geometry import LPS_TO_RAS, array_from_image, matrix_from_vtk
from LungNoduleCADLib.scene.heat_map import (
    heat_map,
    heat_opacity,
    is_heat_visible,
    remove_heat_map,
    set_heat_opacity,
    set_heat_visible,
    show_heat_map,
)
from LungNoduleCADLib.scene.plots import (
    CURVE_COLOR,
    FALSE_POSITIVES,
    POINT_COLOR,
    SENSITIVITY,
    froc_chart,
    remove_froc,
    show_froc,
    show_operating_point,
)
from LungNoduleCADLib.volume import Volume


@pytest.fixture
def scene(tmp_path: Path) -> Reviewed:
    return make_scene(tmp_path, "oblique")


def views_of(scene: Reviewed, count: int = 3) -> list[Any]:
    """Slice views that show the scan."""
    views = []
    for n in range(count):
        view = scene.host.scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode", f"View {n}")
        view.SetBackgroundVolumeID(scene.volume_node.GetID())
        views.append(view)
    return views


def values_on(volume: Volume, peak_kji: tuple[int, int, int] = (12, 30, 20)) -> Volume:
    """A map on a part of the scan's voxels, greatest in one place."""
    start, stop = (4, 10, 6), (20, 50, 40)
    part = volume.cropped(start, stop)
    distance = np.linalg.norm(np.moveaxis(np.indices(part.shape), 0, -1) + start - np.array(peak_kji), axis=-1)
    return part.with_voxels((3.0 * np.exp(-distance / 3) - 0.1).astype(np.float32))


# -- heat maps ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("axes", list(AXES))
def test_a_heat_map_lies_on_the_voxels_it_is_of(tmp_path: Path, axes: str) -> None:
    scene = make_scene(tmp_path, axes)
    values = values_on(scene.volume)
    node = show_heat_map(scene.host.scene, scene.nodes, values, "N1", "occlusion")
    matrix = vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    voxels = array_from_image(node.GetImageData())
    k, j, i = np.unravel_index(int(np.argmax(voxels)), voxels.shape)
    place = LPS_TO_RAS @ matrix_from_vtk(matrix) @ [i, j, k, 1]
    np.testing.assert_allclose(place[:3], scene.volume.index_to_lps((12, 30, 20)), atol=1e-4)


def test_a_heat_map_is_in_the_foreground_of_the_views_that_show_its_scan(scene: Reviewed) -> None:
    views = views_of(scene)
    other = scene.host.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Prior")
    views[2].SetBackgroundVolumeID(other.GetID())
    node = show_heat_map(scene.host.scene, scene.nodes, values_on(scene.volume), "N1", "occlusion")
    assert [view.GetForegroundVolumeID() == node.GetID() for view in views] == [True, True, False]
    assert [view.GetForegroundOpacity() for view in views] == [HEAT_OPACITY, HEAT_OPACITY, 0.0]
    assert is_heat_visible(scene.host.scene, scene.nodes)


def test_what_was_in_the_foreground_comes_back(scene: Reviewed) -> None:
    first, second = views_of(scene, 2)
    pet = scene.host.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "PET")
    first.SetForegroundVolumeID(pet.GetID())
    first.SetForegroundOpacity(0.3)
    show_heat_map(scene.host.scene, scene.nodes, values_on(scene.volume), "N1", "occlusion")
    for hidden in (False, True):
        if hidden:
            remove_heat_map(scene.host.scene, scene.nodes)
        else:
            set_heat_visible(scene.host.scene, scene.nodes, False)
        assert (first.GetForegroundVolumeID(), first.GetForegroundOpacity()) == (pet.GetID(), 0.3)
        assert (second.GetForegroundVolumeID(), second.GetForegroundOpacity()) == (None, 0.0)
        assert not is_heat_visible(scene.host.scene, scene.nodes)
        set_heat_visible(scene.host.scene, scene.nodes, True)
    assert heat_map(scene.nodes) is None and first.GetForegroundVolumeID() == pet.GetID()


def test_a_user_who_puts_something_else_in_the_foreground_is_left_alone(scene: Reviewed) -> None:
    [view] = views_of(scene, 1)
    pet = scene.host.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "PET")
    show_heat_map(scene.host.scene, scene.nodes, values_on(scene.volume), "N1", "occlusion")
    view.SetForegroundVolumeID(pet.GetID())
    view.SetForegroundOpacity(0.7)
    remove_heat_map(scene.host.scene, scene.nodes)
    assert (view.GetForegroundVolumeID(), view.GetForegroundOpacity()) == (pet.GetID(), 0.7)


def test_colours_and_threshold_are_those_of_the_pictures(scene: Reviewed) -> None:
    values = values_on(scene.volume)
    node = show_heat_map(scene.host.scene, scene.nodes, values, "N1", "occlusion")
    display, greatest = node.GetDisplayNode(), float(values.voxels.max())
    assert display.GetApplyThreshold() and not display.GetAutoThreshold() and not display.GetAutoWindowLevel()
    assert display.GetLowerThreshold() == pytest.approx(visible_from(greatest))
    assert display.GetUpperThreshold() >= greatest
    table = display.GetColorNode()
    last = table.GetNumberOfColors() - 1
    color = [0.0] * 4
    for share in (0.0, 0.25, 0.5, 0.75):
        level = display.GetLevel() - display.GetWindow() / 2 + share * display.GetWindow()
        assert level == pytest.approx(share * greatest)
        table.GetColor(round(share * last), color)
        np.testing.assert_allclose(color[:3], heat_colors(share), atol=0.1)


def test_a_map_without_anything_for_a_nodule_shows_nothing(scene: Reviewed) -> None:
    values = scene.volume.with_voxels(np.full(scene.volume.shape, -2.0, dtype=np.float32))
    display = show_heat_map(scene.host.scene, scene.nodes, values, "N1", "occlusion").GetDisplayNode()
    assert display.GetLowerThreshold() > 0


def test_opacity_is_set_and_kept_for_the_next_map(scene: Reviewed) -> None:
    views = views_of(scene)
    show_heat_map(scene.host.scene, scene.nodes, values_on(scene.volume), "N1", "occlusion")
    set_heat_opacity(scene.host.scene, scene.nodes, 0.8)
    assert {view.GetForegroundOpacity() for view in views} == {0.8}
    node = show_heat_map(scene.host.scene, scene.nodes, values_on(scene.volume), "N2", "gradients")
    assert heat_opacity(node) == 0.8 and {view.GetForegroundOpacity() for view in views} == {0.8}
    assert scene.host.scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 2, "the scan and one map"


def test_a_heat_map_moves_with_its_scan_and_is_no_choice_for_the_search(scene: Reviewed) -> None:
    transform = scene.host.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    scene.volume_node.SetAndObserveTransformNodeID(transform.GetID())
    node = show_heat_map(scene.host.scene, scene.nodes, values_on(scene.volume), "N1", "occlusion")
    assert node.GetTransformNodeID() == transform.GetID()
    assert node.GetHideFromEditors()


def test_a_heat_map_leaves_with_its_detection(scene: Reviewed) -> None:
    before = scene.host.scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    show_heat_map(scene.host.scene, scene.nodes, values_on(scene.volume), "N1", "occlusion")
    remove_detection(scene.host.scene, scene.nodes)
    assert scene.host.scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == before


def test_removing_twice_is_removing_once(scene: Reviewed) -> None:
    views_of(scene)
    show_heat_map(scene.host.scene, scene.nodes, values_on(scene.volume), "N1", "occlusion")
    count = scene.host.scene.GetNumberOfNodes()
    remove_heat_map(scene.host.scene, scene.nodes)
    remove_heat_map(scene.host.scene, scene.nodes)
    assert scene.host.scene.GetNumberOfNodes() == count - 2, "the map and its display"
    set_heat_visible(scene.host.scene, scene.nodes, True)
    set_heat_opacity(scene.host.scene, scene.nodes, 0.5)


def test_a_heat_map_comes_back_with_a_saved_scene(
    scene: Reviewed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = values_on(scene.volume)
    show_heat_map(scene.host.scene, scene.nodes, values, "N1", "occlusion")
    set_heat_opacity(scene.host.scene, scene.nodes, 0.35)
    loaded = save_and_load(scene, tmp_path, monkeypatch)
    nodes = find_detection(loaded.host.scene, loaded.volume_node)
    assert nodes is not None
    node = heat_map(nodes)
    assert heat_opacity(node) == 0.35 and node.GetHideFromEditors()
    np.testing.assert_allclose(
        np.sort(array_from_image(node.GetImageData()).ravel()), np.sort(values.voxels.ravel()), atol=1e-5
    )
    assert node.GetDisplayNode().GetColorNodeID() == "vtkMRMLColorTableNodeIron"


# -- FROC --------------------------------------------------------------------------------------------------------------
CURVE = FrocCurve(np.array([0.0, 0.0, 1.0, 3.0]), np.array([0.0, 0.5, 0.5, 1.0]), np.array([np.inf, 0.9, 0.6, 0.2]))


def column(series: Any, name: str) -> list[float]:
    values = series.GetTableNode().GetTable().GetColumnByName(name)
    return [values.GetValue(n) for n in range(values.GetNumberOfValues())]


def series_of(chart: Any) -> list[Any]:
    return [chart.GetNthPlotSeriesNode(n) for n in range(chart.GetNumberOfPlotSeriesNodes())]


def test_a_froc_plot_has_the_curve_and_the_point(scene: Reviewed) -> None:
    chart = show_froc(scene.host.scene, CURVE, "Four nodules")
    assert chart.GetTitle() == "Four nodules"
    show_operating_point(scene.host.scene, 0.6, 1.0, 0.5, "Threshold 0.60", "Four nodules, at 0.60")
    curve, point = series_of(chart)
    # From 1/8 to 8, as the axis shows it: its value at 1/8 to begin with, its last one at the end.
    assert column(curve, FALSE_POSITIVES) == [0.125, 1, 3, 8] and column(curve, SENSITIVITY) == [0.5, 0.5, 1, 1]
    assert column(curve, "Threshold") == [0.9, 0.6, 0.2, 0.2]
    assert (column(point, FALSE_POSITIVES), column(point, SENSITIVITY)) == ([1.0, 1.0], [0.5, 0.5])
    assert point.GetName() == "Threshold 0.60"
    for one in (curve, point):
        assert (one.GetXColumnName(), one.GetYColumnName()) == (FALSE_POSITIVES, SENSITIVITY)
        assert one.GetPlotType() == one.PlotTypeScatter
    assert point.GetMarkerStyle() != point.MarkerStyleNone and curve.GetMarkerStyle() == curve.MarkerStyleNone
    assert chart.GetTitle() == "Four nodules, at 0.60"


def test_the_froc_plot_as_it_is_drawn(scene: Reviewed) -> None:
    """Logarithmic from 1/8 to 8, and nothing covers the curve or the mark."""
    chart = show_froc(scene.host.scene, CURVE, "Four nodules")
    show_operating_point(scene.host.scene, 0.6, 1.0, 0.5, "Threshold 0.60", "Four nodules")
    picture = draw_chart(chart).astype(int)
    blue = np.abs(picture - np.multiply(255, CURVE_COLOR)).sum(axis=2) < 60
    orange = np.abs(picture - np.multiply(255, POINT_COLOR)).sum(axis=2) < 60
    rows, columns = np.nonzero(blue)
    assert orange.sum() > 50
    assert columns.max() - columns.min() > 0.8 * picture.shape[1], "the curve goes from edge to edge"
    # 1 false positive a scan stands in the middle between 1/8 and 8, and so does its mark.
    middle = (columns.max() + columns.min()) / 2
    assert np.nonzero(orange)[1].mean() == pytest.approx(middle, abs=6)
    assert rows.max() == pytest.approx(np.nonzero(orange)[0].mean(), abs=6)


@pytest.mark.parametrize(("fp_per_scan", "edge"), [(0.0, 0.125), (20.0, 8.0)])
def test_a_mark_beyond_the_axis_stands_at_its_edge(scene: Reviewed, fp_per_scan: float, edge: float) -> None:
    chart = show_froc(scene.host.scene, CURVE, "Four nodules")
    show_operating_point(scene.host.scene, 0.6, fp_per_scan, 0.5, "Threshold 0.60", "Four nodules")
    assert column(series_of(chart)[1], FALSE_POSITIVES) == [edge, edge]


def test_another_curve_takes_the_place_of_the_former(scene: Reviewed) -> None:
    first = show_froc(scene.host.scene, CURVE, "a")
    count = scene.host.scene.GetNumberOfNodes()
    shorter = FrocCurve(np.array([0.0, 2.0]), np.array([0.0, 1.0]), np.array([np.inf, 0.5]))
    assert show_froc(scene.host.scene, shorter, "b") is first
    assert scene.host.scene.GetNumberOfNodes() == count
    assert column(series_of(first)[0], FALSE_POSITIVES) == [0.125, 2.0, 8.0]
    assert column(series_of(first)[0], SENSITIVITY) == [0.0625, 1.0, 1.0]


def test_a_plot_that_the_user_took_apart_is_made_anew(scene: Reviewed) -> None:
    chart = show_froc(scene.host.scene, CURVE, "a")
    scene.host.scene.RemoveNode(series_of(chart)[1])
    assert froc_chart(scene.host.scene) is None
    show_operating_point(scene.host.scene, 0.5, 1.0, 1.0, "nothing to move", "no title")
    assert show_froc(scene.host.scene, CURVE, "b") is not chart
    assert froc_chart(scene.host.scene) is not None


def test_a_plot_is_removed_with_all_its_parts(scene: Reviewed) -> None:
    count = scene.host.scene.GetNumberOfNodes()
    show_froc(scene.host.scene, CURVE, "a")
    remove_froc(scene.host.scene)
    assert scene.host.scene.GetNumberOfNodes() == count
    remove_froc(scene.host.scene)


def test_a_plot_comes_back_with_a_saved_scene(scene: Reviewed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    show_froc(scene.host.scene, CURVE, "Saved")
    show_operating_point(scene.host.scene, 0.6, 1.0, 0.5, "Threshold 0.60", "Saved")
    loaded = save_and_load(scene, tmp_path, monkeypatch).host.scene
    chart = froc_chart(loaded)
    assert chart is not None and chart.GetTitle() == "Saved"
    np.testing.assert_allclose(column(series_of(chart)[0], SENSITIVITY), [0.5, 0.5, 1, 1])
    show_operating_point(loaded, 0.2, 3.0, 1.0, "Threshold 0.20", "Loaded")
    assert column(series_of(chart)[1], FALSE_POSITIVES) == [3.0, 3.0]


def comparison_of(scene: Reviewed, *changes: Any, extra: int = 0) -> Comparison:
    """The reference has the first two of the three findings, and further nodules where nothing was found."""
    review = after(scene.review().review, *changes)
    contours = [review.state.findings[name].contour for name in ("N1", "N2")]
    references = [ReferenceNodule(c.center_lps, 8.0) for c in contours]
    corners = [ReferenceNodule(tuple(map(float, scene.volume.index_to_lps((n, 1, 1)))), 4.0) for n in range(extra)]  # type: ignore[arg-type]
    return Comparison(review.state, references + corners)


def test_cases_are_pooled_as_scans(scene: Reviewed) -> None:
    cases = [comparison_of(scene), comparison_of(scene, extra=2)]
    outcomes = pooled_outcomes(cases)
    assert outcomes.nodule_score.tolist() == [0.93, 0.61, 0.93, 0.61, -np.inf, -np.inf]
    assert outcomes.nodule_unit.tolist() == [0, 0, 1, 1, 1, 1]
    assert outcomes.false_score.tolist() == [0.12, 0.12] and outcomes.false_unit.tolist() == [0, 1]
    for threshold in (0.05, 0.5, 0.8):
        matches = [case.at(threshold).result for case in cases]
        found = sum(len(m.references) - m.false_negatives for m in matches)
        assert outcomes.sensitivity(threshold) == pytest.approx(found / 6)
        assert outcomes.fp_per_scan(threshold) == sum(m.false_positives for m in matches) / 2
    result = free_response(outcomes)
    assert result.curve.sensitivity[-1] == pytest.approx(4 / 6) and result.curve.fp_per_scan[-1] == 1.0


def test_what_a_reader_decided_counts_in_the_pool(scene: Reviewed) -> None:
    outcomes = pooled_outcomes([comparison_of(scene, Accept(("N2", "N3")), Reject(("N1",), "vessel"))])
    assert outcomes.nodule_score.tolist() == [-np.inf, 1.0]
    assert outcomes.false_score.tolist() == [1.0]


def test_all_detections_of_a_scene_are_found(scene: Reviewed, tmp_path: Path) -> None:
    assert [nodes.record for nodes in all_detections(scene.host.scene)] == [scene.nodes.record]
    scene.host.scene.RemoveNode(scene.volume_node)
    assert all_detections(scene.host.scene) == []
