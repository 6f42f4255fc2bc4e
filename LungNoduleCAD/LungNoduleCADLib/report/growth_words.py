"""What a report says in words of growth since a prior."""

from __future__ import annotations

from .follow_up import Growth, PriorFinding, PriorStudy
from .model import Report, ReportFinding

Pairs = list[tuple[str, str]]

NO_TIMES = "no doubling time, for a date is unknown"
LIMITS = "95 % limits"
TABLE_HEAD = ("Now", "Prior", "Status", "Prior, measured alike", "Now, mean diameter and volume", "Change of diameter",
              f"Change of volume ({LIMITS})", "Doubling time")  # fmt: skip
CAPTION = (
    "Both scans measured alike: in one region around the nodule, by one rule. A change counts from 25 % of the volume "
    "on and beyond the limits within which volumes repeat, or as Lung-RADS has it (more than 1.5 mm in 12 months)."
)


def compared_with(prior: PriorStudy) -> str:
    """Which examination, and how long before."""
    when = prior.date or prior.series_description or "an earlier examination of unknown date"
    if prior.interval_days is None:
        return f"{when} (interval unknown)" if prior.date else when
    return f"{when} ({prior.interval_days} days before)"


def growth_summary(report: Report) -> str:
    """One sentence: how many are new, growing and so on; empty without a prior."""
    if report.prior is None:
        return ""
    statuses = [f.growth.status for f in report.findings if f.growth is not None] + [g.status for g in report.gone]
    order = ("growing", "new", "shrinking", "stable", "resolved", "gone", "not covered")
    counts = [f"{statuses.count(status)} {status}" for status in order if status in statuses]
    return f"Compared with {compared_with(report.prior)}: {', '.join(counts) or 'no findings in either'}."


def growth_text(growth: Growth | None) -> str:
    """For a table: the status and by how much; a dash where it was not compared."""
    if growth is None:
        return "–"
    change = growth.change
    return growth.status if change is None else f"{growth.status} {percent(change.volume_ratio)}"


def growth_pairs(finding: ReportFinding) -> Pairs:
    """What stands beside a finding's pictures; nothing without a prior."""
    growth = finding.growth
    if growth is None:
        return []
    pairs = [("Since the prior", growth.status if growth.change else growth.meaning)]
    if growth.prior is not None:
        pairs.append(("In the prior", prior_text(growth.prior)))
    if growth.change is not None:
        change = growth.change
        pairs.append(("Change of diameter", millimetres(change.diameter_mm)))
        if change.solid_mm is not None and finding.density == "part-solid":
            pairs.append(("Change of solid part", millimetres(change.solid_mm)))
        pairs.append((f"Change of volume ({LIMITS})", volume_text(growth)))
        if times := doubling_text(growth):
            pairs.append(("Doubling time", times))
    return pairs


def prior_text(prior: PriorFinding) -> str:
    """The nodule as the prior's own report has it."""
    return (
        f"{prior.label}, slice {prior.slice_number}: {prior.mean_diameter_mm:.1f} mm, {prior.volume_mm3:.0f} mm³, "
        f"{prior.density}"
    )


def volume_text(growth: Growth) -> str:
    """Change of the volume with its limits; a dash where it is in one study only."""
    change = growth.change
    if change is None:
        return "–"
    return f"{percent(change.volume_ratio)} ({percent(change.ratio_low)} to {percent(change.ratio_high)})"


def doubling_text(growth: Growth) -> str:
    """Doubling or halving time with its limits, in days; empty where there is no significant change."""
    change = growth.change
    if change is None or growth.status not in ("growing", "shrinking"):
        return ""
    if change.doubling_days is None:
        return NO_TIMES
    if change.doubling_days < 0:
        return f"halves in {-change.doubling_days:.0f} days"
    slowest = "no growth" if change.slowest_days is None else f"{change.slowest_days:.0f}"
    fastest = "–" if change.fastest_days is None else f"{change.fastest_days:.0f}"
    return f"{change.doubling_days:.0f} days ({fastest} to {slowest})"


def growth_rows(report: Report) -> list[tuple[str, ...]]:
    """A row for each finding that was compared, then for each that only the prior has; as `TABLE_HEAD`."""
    rows: list[tuple[str, ...]] = []
    for finding in report.findings:
        growth = finding.growth
        if growth is None:
            continue
        change, prior = growth.change, growth.prior
        alike = "–" if change is None else f"{change.before_mm:.1f} mm, {change.before_mm3:.0f} mm³"
        rows.append((
            finding.label, "–" if prior is None else prior.label, growth.status, alike,
            f"{finding.mean_diameter_mm:.1f} mm, {finding.measured.volume_mm3:.0f} mm³",
            "–" if change is None else millimetres(change.diameter_mm), volume_text(growth),
            doubling_text(growth) or "–",
        ))  # fmt: skip
    for growth in report.gone:
        assert growth.prior is not None  # or it would be in neither study
        then = f"{growth.prior.mean_diameter_mm:.1f} mm, {growth.prior.volume_mm3:.0f} mm³"
        rows.append(("–", growth.prior.label, growth.status, then, growth.meaning, "–", "–", "–"))
    return rows


def growth_notes(report: Report) -> list[str]:
    """What a reader must know of single comparisons, each with its finding."""
    named = [(f.label, f.growth) for f in report.findings]
    named += [(f"{g.prior.label} of the prior", g) for g in report.gone if g.prior is not None]
    return [f"{label}: {growth.note}" for label, growth in named if growth is not None and growth.note]


def growth_lines(report: Report) -> list[str]:
    """The comparison in sentences: what for, how, what only the prior has, and the notes; none without a prior."""
    if report.prior is None:
        return []
    gone = [f"{prior_text(g.prior)}: {g.meaning}." for g in report.gone if g.prior is not None]
    lines = [growth_summary(report), *(f"Of the prior alone: {line}" for line in gone), *growth_notes(report)]
    return [*lines, "; ".join(f"{name}: {value}" for name, value in prior_pairs(report.prior))]


def prior_pairs(prior: PriorStudy) -> Pairs:
    """How the comparison came about."""
    pairs = [
        ("Compared with", compared_with(prior)),
        ("Prior series UID", prior.series_uid),
        ("Prior study UID", prior.study_uid),
        ("Prior source", prior.source),
        ("Prior made by", prior.made_by),
        ("Prior threshold", "" if prior.threshold is None else f"score {prior.threshold:g}"),
        ("Scans in line", "" if prior.lung_overlap is None or prior.correlation is None else
         f"lungs overlap {prior.lung_overlap:.2f}, correlation {prior.correlation:.2f}"),
    ]  # fmt: skip
    return [(name, value) for name, value in pairs if value]


def percent(ratio: float) -> str:
    """A ratio of volumes as a change, as in '+48 %'."""
    return f"{100 * (ratio - 1):+.0f}\N{NO-BREAK SPACE}%".replace("-", "−")


def millimetres(change_mm: float) -> str:
    """A change of a length, as in '+0.9 mm'."""
    return f"{change_mm:+.1f}\N{NO-BREAK SPACE}mm".replace("-", "−")
