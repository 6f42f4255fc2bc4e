"""Prepared scans, and what training takes from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data_set_inputs import with_nodules

from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.measurement.local_box import sphere_mask
from LungNoduleCADLib.volume import Volume
from training.boxes import NoduleBox
from training.datasets.cache import Cache
from training.datasets.entries import occupancy_on
from training.datasets.images import ImageCase
from training.datasets.items import boxes_of, doubtful, insertables_of, lung_of, negative_centers
from training.datasets.scans import Nodule
from training.patches import PatchSampler
from training.sampler import SliceSampler, Sources
from training.splits import fold_of


def test_a_box_is_read_without_the_rest(cache: Path) -> None:
    entry = with_nodules(cache)[0]
    image = entry.image()
    for first, shape in (((3, 60, 60), (7, 64, 64)), ((-5, -2, 190), (10, 80, 200)), ((60, 300, 5), (40, 3, 3))):
        places = [np.clip(np.arange(f, f + n), 0, s - 1) for f, n, s in zip(first, shape, image.shape, strict=True)]
        assert (entry.cut(first, shape) == image[np.ix_(*places)]).all()
    content = bytearray(entry.path.read_bytes())
    away = content.rindex(b"image-0-1-1.npy", 0, content.index(b"PK\x01\x02")) + 200
    content[away] ^= 0xFF
    entry.path.write_bytes(bytes(content))
    assert (entry.cut((0, 0, 0), (9, 9, 9)) == image[:9, :9, :9]).all()
    with pytest.raises(InputError, match="damaged"):
        entry.cut((0, 60, 60), (9, 9, 9))


def test_a_nodules_volume_survives_the_change_of_grid() -> None:
    volume = Volume.from_geometry(np.zeros((20, 60, 60), np.int16), spacing_kji_mm=(2.5, 0.7, 0.7))
    grid = Volume.from_geometry(np.zeros((48, 40, 40), np.int16), origin_lps=(1.4, 0.7, 2.5))
    mask = sphere_mask(volume, (20.0, 21.0, 22.0), 12.0)
    start, occupancy = occupancy_on(grid, volume, Nodule((20.0, 21.0, 22.0), 12.0, mask))
    assert occupancy.sum() / 255 == pytest.approx(mask.voxels.sum() * volume.voxel_volume_mm3, rel=0.02)
    center = (np.argwhere(occupancy > 127) + start).mean(axis=0)
    assert grid.index_to_lps(center) == pytest.approx((20.0, 21.0, 22.0), abs=0.3)
    outside = Nodule((39.0, 39.0, 2.0), 3.0, sphere_mask(volume, (39.0, 39.0, 2.0), 3.0))
    small = Volume.from_geometry(np.zeros((10, 10, 10), np.int16), origin_lps=(0.0, 0.0, 20.0))
    assert not occupancy_on(small, volume, outside)[1].any()


def test_a_scan_becomes_a_lung_that_is_healthy_where_samples_are_drawn(prepared: Path) -> None:
    for entry in with_nodules(prepared):
        lung = lung_of(entry)
        assert lung.name == entry.patient and lung.image.shape == lung.lung.shape == lung.ignore.shape
        for nodule in entry.nodules:
            assert lung.ignore[tuple(np.rint(nodule.center_kji).astype(int))]
            for places in (lung.places, lung.edge_places):
                distances = np.linalg.norm(places - nodule.center_kji, axis=1)
                assert len(places) and distances.min() > nodule.diameter_mm / 2 + 6
        assert lung.lung[tuple(lung.places.T)].all() and not lung.ignore[tuple(lung.places.T)].any()


def test_excluded_findings_are_neither_background_nor_negatives(prepared: Path) -> None:
    entry = replace(with_nodules(prepared)[0], excluded_kji=np.empty((0, 3)))
    spot = np.argwhere(entry.lung())[5000]
    marked = replace(entry, excluded_kji=spot[None].astype(float))
    assert doubtful(marked)[tuple(spot)] and not doubtful(entry)[tuple(spot)]
    assert doubtful(marked).sum() - doubtful(entry).sum() > 200
    near = replace(entry, excluded_kji=entry.nodules[0].center_kji[None] + (0, 15, 0))
    for before, after in zip(boxes_of(entry), boxes_of(near), strict=True):
        assert (before.image == after.image).all() and len(after.background) <= len(before.background)


def test_nodules_come_with_their_surroundings(prepared: Path) -> None:
    for entry in with_nodules(prepared):
        boxes = boxes_of(entry)
        assert len(boxes) == len(entry.nodules)
        for box, nodule in zip(boxes, entry.nodules, strict=True):
            assert isinstance(box, NoduleBox) and box.patient == entry.patient
            assert max(box.image.shape) <= 51 and box.image.shape == box.mask.shape
            assert box.mask.sum() == (nodule.occupancy >= 127.5).sum()
            assert not box.mask[tuple(box.background.T.astype(int))].any()
            assert 1 <= box.malignancy == nodule.malignancy <= 5 and box.diameter_mm == nodule.diameter_mm


def test_nodules_can_be_inserted_elsewhere(prepared: Path) -> None:
    for entry in with_nodules(prepared):
        items = insertables_of(entry)
        assert len(items) == len(entry.nodules)
        for item, nodule in zip(items, entry.nodules, strict=True):
            assert item.fold == fold_of(entry.patient)
            assert item.mask.sum() == (nodule.occupancy >= 127.5).sum()
            assert item.density[item.mask].mean() > 60


def test_negatives_keep_the_documents_distance_and_number(prepared: Path) -> None:
    for entry in Cache(prepared).entries():
        places = negative_centers(entry, np.random.default_rng(0))
        assert len(places) == min(5 * len(entry.nodules), 20)
        for nodule in entry.nodules:
            assert np.linalg.norm(places - nodule.center_kji, axis=1).min() >= 50
        assert entry.lung()[tuple(places.T)].all()
    five = replace(entry, nodules=with_nodules(prepared)[0].nodules * 3)
    assert len(negative_centers(five, np.random.default_rng(0))) == 20


def test_both_networks_samplers_draw_from_a_prepared_data_set(prepared: Path) -> None:
    entries = with_nodules(prepared)
    nodules = [item for entry in entries for item in insertables_of(entry)]
    boxes = [box for entry in entries for box in boxes_of(entry)]
    sources = Sources([lung_of(entry) for entry in entries], boxes, boxes, nodules, nodules, nodules)
    slices = SliceSampler(sources, seed=0)
    drawn = [slices.draw() for _ in range(40)]
    assert all(image.shape == (7, 64, 64) for image, *_ in drawn)
    assert 5 < sum(bool(target.any()) for _, target, *_ in drawn) < 40
    patches = PatchSampler(sources, [], seed=0)
    samples = [patches.draw() for _ in range(30)]
    assert {sample.is_nodule for sample in samples} == {True, False}
    assert all(sample.patch.shape == (64, 64, 64) for sample in samples)


def test_a_case_without_nodules_has_an_entry_too(simulated: Path, tmp_path: Path) -> None:
    image = next(simulated.glob("subset0/*.mhd"))
    entry = Cache(tmp_path).write(ImageCase("plain", "nobody", "x", image))
    assert entry.nodules == () and boxes_of(entry) == insertables_of(entry) == []
    assert len(negative_centers(entry, np.random.default_rng(0))) == 0
