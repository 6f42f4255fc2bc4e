"""Two studies of one chest compared, and `lungnodulecad compare`: nodules whose fate is known, moved and breathing."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from growth_inputs import FollowUp, Motion, Nodule, follow_up, free_places, written_result

from LungNoduleCADLib import cli
from LungNoduleCADLib.errors import InputError
from LungNoduleCADLib.growth import GrowthFinding, Study, StudyComparison, compare_studies, lung_rads_prior
from LungNoduleCADLib.growth import compare as comparing
from LungNoduleCADLib.growth.picture import LungPicture, as_image
from LungNoduleCADLib.growth.registration import Alignment, align
from LungNoduleCADLib.review import Reject, Review, review_to_json
from LungNoduleCADLib.rules import lung_rads

CHEST_MM = (2.5, 1.6, 1.6)
SEED = 5
FATES = ((8, 8), (8, 10.5), (10, 7), (6, None), (None, 7), (12, 12.3), (9, 14))
STATUSES = ("stable", "growing", "shrinking", "resolved", "new", "stable", "growing")


@pytest.fixture(scope="module")
def made() -> FollowUp:
    places = free_places(SEED, CHEST_MM, len(FATES))
    nodules = [Nodule(place, then, now) for place, (then, now) in zip(places, FATES, strict=True)]
    motion = Motion.drawn(np.random.default_rng(1), 20, 10, 0.07)
    return follow_up(SEED, nodules, motion, base_spacing=CHEST_MM)


@pytest.fixture(scope="module")
def alignment(made: FollowUp) -> Alignment:
    assert made.current.lungs is not None and made.prior.lungs is not None
    return align(
        LungPicture.of(made.current.volume, made.current.lungs), LungPicture.of(made.prior.volume, made.prior.lungs)
    )


@pytest.fixture
def aligned(alignment: Alignment, monkeypatch: pytest.MonkeyPatch) -> Alignment:
    """The scans of `made` are in line already: finding that takes most of a comparison's time."""
    monkeypatch.setattr(comparing, "align", lambda current, prior: alignment)
    return alignment


@pytest.fixture
def compared(made: FollowUp, aligned: Alignment) -> StudyComparison:
    return compare_studies(made.current, made.prior)


def numbers_of(found: GrowthFinding, made: FollowUp) -> tuple[int | None, int | None]:
    """Which of the truth's nodules it is, in the current study and in the prior."""
    labels = [found.current.label if found.current else None, found.prior.label if found.prior else None]
    truth = (made.current_numbers, made.prior_numbers)
    now, then = (None if label is None else t[int(label[1:]) - 1] for label, t in zip(labels, truth, strict=True))
    return now, then


# -- bringing into line -------------------------------------------------------------------------------------------


def test_the_lungs_come_into_line_and_the_neighbourhoods_closer(
    made: FollowUp, alignment: Alignment, compared: StudyComparison
) -> None:
    assert alignment.overlap > 0.9
    for found in compared.findings:
        if found.current is None:
            continue
        true = made.motion.to_chest(np.array(found.current.center_lps))
        assert np.linalg.norm(alignment.to_prior(found.current.center_lps) - true) < 5.0
        assert np.linalg.norm(np.subtract(found.place_lps, true)) < 1.5
        there = alignment.to_prior(found.current.center_lps)
        assert alignment.backwards.to_prior(there) == pytest.approx(found.current.center_lps)


def test_scans_that_do_not_fit_each_other_are_refused(made: FollowUp) -> None:
    study = made.prior
    assert study.lungs is not None
    upside_down = replace(study, volume=study.volume.with_voxels(study.volume.voxels[::-1]), lungs=study.lungs[::-1])
    with pytest.raises(InputError, match=r"cannot be brought into line.*one patient\.$"):
        compare_studies(made.current, upside_down)


def test_a_prior_that_shows_a_part_of_the_lungs_covers_only_that(made: FollowUp) -> None:
    volume, lungs = made.prior.volume, made.prior.lungs
    assert lungs is not None
    first, last = 30, 95
    low, high = (float(volume.index_to_lps((k, 0, 0))[2]) for k in (first, last - 1))
    shown = tuple(f for f in made.prior.findings if low + 8 < f.center_lps[2] < high - 8)
    part = Study(volume.cropped((first, 0, 0), (last, *volume.shape[1:])), shown, made.prior.day, lungs[first:last])
    compared = compare_studies(made.current, part)
    told = []
    for found in compared.findings:
        assert found.current is not None
        height = float(made.motion.to_chest(np.array(found.current.center_lps))[2])
        now, then = numbers_of(found, made)
        if low + 10 < height < high - 10:
            assert now == then or FATES[now or 0][0] is None
        elif not low < height < high:
            assert found.status == "not covered"
        told.append(found.status == "not covered")
    assert any(told) and not all(told)


# -- what became of each ------------------------------------------------------------------------------------------


def test_every_nodule_is_found_again_and_its_fate_told(made: FollowUp, compared: StudyComparison) -> None:
    told = {}
    for found in compared.findings:
        now, then = numbers_of(found, made)
        assert now is None or then is None or now == then, "two different nodules were taken for one"
        number = then if now is None else now
        assert number is not None
        told[number] = found.status
    assert tuple(told[n] for n in range(len(FATES))) == STATUSES
    assert compared.interval_days == 180 and compared.warnings == ()


def test_doubling_times_hold_the_true_one_within_their_limits(made: FollowUp, compared: StudyComparison) -> None:
    for found in compared.findings:
        if found.status != "growing":
            continue
        number = numbers_of(found, made)[0]
        assert number is not None and found.change is not None
        then, now = FATES[number]
        assert then is not None and now is not None
        true = np.log(2) * 180 / (3 * np.log(now / then))
        assert found.change.fastest_days is not None and found.change.slowest_days is not None
        assert found.change.fastest_days < true < found.change.slowest_days
        assert found.change.doubling_days == pytest.approx(true, rel=0.25)


def test_what_the_other_study_scored_low_is_neither_new_nor_gone(made: FollowUp, aligned: Alignment) -> None:
    faint = replace(made.prior, findings=tuple(replace(f, counts=False) for f in made.prior.findings))
    compared = compare_studies(made.current, faint)
    assert sorted(f.status for f in compared.findings) == ["growing", "growing", "new", "shrinking", "stable", "stable"]
    assert all("below the threshold in the prior" in f.note for f in compared.findings if f.prior)
    faint = replace(made.current, findings=tuple(replace(f, counts=False) for f in made.current.findings))
    compared = compare_studies(faint, made.prior)
    assert sorted(f.status for f in compared.findings) == [
        "growing", "growing", "resolved", "shrinking", "stable", "stable",
    ]  # fmt: skip


def test_what_nobody_marked_but_is_still_dense_is_gone_not_resolved(made: FollowUp, aligned: Alignment) -> None:
    without = replace(made.current, findings=())
    statuses = [f.status for f in compare_studies(without, made.prior).findings]
    assert statuses.count("gone") == 5 and statuses.count("resolved") == 1
    unmarked = compare_studies(made.current, replace(made.prior, findings=()))
    assert {f.status for f in unmarked.findings} == {"new"}
    assert sum("look at both" in f.note for f in unmarked.findings) == 5


def test_no_findings_compare_to_nothing(made: FollowUp, aligned: Alignment) -> None:
    compared = compare_studies(replace(made.current, findings=()), replace(made.prior, findings=()))
    assert compared.findings == () and compared.of("N1") is None


@pytest.mark.parametrize(
    ("days", "interval", "warning"),
    [((None, date(2025, 1, 1)), None, "date"), ((date(2025, 1, 1),) * 2, 0, "same day")],
)
def test_without_an_interval_it_says_so(
    made: FollowUp, aligned: Alignment, days: tuple[date | None, date | None], interval: int | None, warning: str
) -> None:
    compared = compare_studies(replace(made.current, day=days[0]), replace(made.prior, day=days[1]))
    assert compared.interval_days == interval and warning in compared.warnings[0]
    assert all(f.change.doubling_days is None for f in compared.findings if f.change is not None)
    assert lung_rads_prior(compared, "N1") is None


def test_a_prior_that_is_later_is_refused_before_anything_is_computed(made: FollowUp) -> None:
    with pytest.raises(InputError, match=r"later than the current study.*other way round\.$"):
        compare_studies(made.prior, made.current)


def test_slices_and_kernels_that_differ_are_said(made: FollowUp, aligned: Alignment) -> None:
    metadata = {"slice_thickness_mm": 5.0, "kernel": "B70f"}
    volume = made.prior.volume
    other = replace(volume, metadata=metadata)
    now = replace(made.current.volume, metadata={"kernel": "B30f"})
    compared = compare_studies(replace(made.current, volume=now), replace(made.prior, volume=other))
    assert "2.5 mm thick now and were 5.0 mm" in compared.warnings[0] and "B30f now, B70f then" in compared.warnings[1]


def test_lung_rads_hears_of_the_prior(made: FollowUp, compared: StudyComparison) -> None:
    said = {}
    for found in compared.findings:
        if found.current is not None:
            prior = lung_rads_prior(compared, found.current.label)
            assert prior is not None and prior.interval_days == 180
            said[found.status] = (lung_rads(found.current.facts, prior).reason, prior.nodule)
    assert "growing" in said["growing"][0] and said["growing"][1] is not None
    assert "new since the prior" in said["new"][0] and said["new"][1] is None
    assert lung_rads_prior(compared, "N99") is None


# -- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def folders(made: FollowUp, aligned: Alignment, tmp_path: Path) -> tuple[Path, Path]:
    return written_result(tmp_path / "now", made.current), written_result(tmp_path / "then", made.prior)


def run(*arguments: object) -> int:
    return cli.main(["compare", *map(str, arguments), "--progress", "none"])


def refusal(capfd: pytest.CaptureFixture[str], output: Path, *arguments: object) -> str:
    capfd.readouterr()
    assert run(*arguments, "--output", output) == 2
    printed = capfd.readouterr()
    assert printed.out == "" and re.fullmatch(r"[^\n]+[.]\n", printed.err), printed.err
    assert not output.exists() and not list(output.parent.glob("*.partial-*"))
    return printed.err


def test_the_command_writes_what_became_of_each(
    folders: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "growth"
    assert run(*folders, "--output", output) == 0
    printed = capfd.readouterr().out
    assert "7 findings compared, 180 days apart" in printed and str(output) in printed
    content = json.loads((output / "growth.json").read_text(encoding="utf-8"))
    assert sorted(f["status"] for f in content["findings"]) == sorted(STATUSES)
    assert content["interval_days"] == 180 and content["prior"]["study_date"] == "2025-01-10"
    with (output / "growth.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["status"] for row in rows] == [f["status"] for f in content["findings"]]
    for row, entry in zip(rows, content["findings"], strict=True):
        assert row["current_label"] == (entry["current"] or {}).get("label", "")
        if entry["change"] is not None:
            assert float(row["volume_ratio"]) == pytest.approx(entry["change"]["volume_ratio"], rel=1e-5)
        if entry["prior"] is not None:
            assert float(row["prior_x_lps_mm"]) == pytest.approx(entry["prior"]["center_lps"][0], rel=1e-4)


def test_a_report_takes_the_prior_in(folders: tuple[Path, Path], capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(folders[0]), "--prior", str(folders[1]), "--format", "html,json"]) == 0
    report = folders[0] / "report"
    content = json.loads((report / "report.json").read_text(encoding="utf-8"))
    told = [f["growth"]["status"] for f in (*content["findings"], *({"growth": g} for g in content["gone"]))]
    assert sorted(told) == sorted(STATUSES)
    assert content["prior"]["interval_days"] == 180 and content["prior"]["date"] == "2025-01-10"
    changes = [f["growth"]["change"] for f in content["findings"] if f["growth"]["change"]]
    assert len(changes) == 5 and all(change["alike"] for change in changes)
    assert (report / "report.html").read_text(encoding="utf-8").count("Prior, slice") == 6, "all but the resolved one"


def test_a_reader_s_rejection_and_dates_reach_the_comparison(
    folders: tuple[Path, Path], made: FollowUp, tmp_path: Path
) -> None:
    from LungNoduleCADLib.report.record import read_record

    record = read_record(folders[0])
    review = Review.of(record.result.candidates).with_change(Reject(("N1",), "vessel"), "Dr. Read")
    (folders[0] / "review.json").write_text(review_to_json(review), encoding="utf-8")
    output = tmp_path / "growth"
    assert run(*folders, "--output", output, "--current-date", "2026-01-10") == 0
    content = json.loads((output / "growth.json").read_text(encoding="utf-8"))
    assert content["interval_days"] == 365
    assert "N1" not in [f["current"]["label"] for f in content["findings"] if f["current"]]
    assert "gone" in [f["status"] for f in content["findings"]], "the rejected one's prior is still dense there"


def test_scans_that_moved_are_asked_for_and_taken(
    folders: tuple[Path, Path], made: FollowUp, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    elsewhere, other = tmp_path / "elsewhere.nrrd", tmp_path / "other.nrrd"
    sitk.WriteImage(as_image(made.prior.volume.cropped((1, 0, 0), made.prior.volume.shape)), str(other))
    (tmp_path / "then.nrrd").rename(elsewhere)
    output = tmp_path / "growth"
    assert "--prior-image" in refusal(capfd, output, *folders)
    assert "--prior-image" in refusal(capfd, output, *folders, "--prior-image", other)
    assert run(*folders, "--output", output, "--prior-image", elsewhere) == 0


def test_what_cannot_be_compared_is_refused_in_one_sentence(
    made: FollowUp, aligned: Alignment, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def result(name: str, **series: Any) -> Path:
        return written_result(tmp_path / name, replace(made.prior, findings=made.prior.findings[:1]), **series)

    a, b = result("a", patient_id="1"), result("b", patient_id="2")
    output = tmp_path / "growth"
    assert "same series" in refusal(capfd, output, a, a)
    assert "--same-patient" in refusal(capfd, output, a, b)
    assert "holds no result" in refusal(capfd, output, a, tmp_path)
    assert "later than" in refusal(capfd, output, a, b, "--same-patient", "--prior-date", "2030-01-01")
    assert "date" in refusal(capfd, output, a, b, "--prior-date", "yesterday")
    assert run(a, b, "--same-patient", "--output", output) == 0


def test_a_former_comparison_stays_when_a_new_one_fails(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "growth"
    assert run(*folders, "--output", output) == 0
    before = (output / "growth.json").read_bytes()

    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("LungNoduleCADLib.app.compare.growth_csv", full)
    assert run(*folders, "--output", output) == 2
    assert (output / "growth.json").read_bytes() == before and not list(tmp_path.glob("*.partial-*"))
