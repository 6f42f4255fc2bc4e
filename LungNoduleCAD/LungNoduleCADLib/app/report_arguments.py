"""Arguments of `lungnodulecad report`; nothing heavy is imported to parse them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from ..errors import InputError

SETTINGS = {"screening": "lung-rads", "incidental": "fleischner"}
"""Why the CT was made, and the guideline that is made for it."""
ANSWERS = {"yes": True, "no": False}
RISKS = {"high": True, "low": False}
OLDEST_YEARS = 125.0


def add_report_arguments(parser: argparse.ArgumentParser, day: Callable[[str], date]) -> None:
    """Everything but what every command takes.

    :param day: reads a date.
    """
    parser.add_argument("result", type=Path, metavar="RESULT_DIR", help="folder that `detect` wrote")
    parser.add_argument("--format", type=_names, metavar="LIST", help="of html, pdf, csv, json, sr, seg, png (default: "
                        "html,pdf,csv,json)")  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: the folder `report`, or "
                        "`report-deidentified`, in RESULT_DIR")  # fmt: skip
    parser.add_argument("--deidentify", action="store_true", help="leave out name, number, dates, free text and paths")
    parser.add_argument("--source", type=Path, metavar="PATH", help="where the scan is now, when it was moved")
    parser.add_argument("--review", type=Path, metavar="FILE", help="the review (default: review.json in RESULT_DIR)")
    parser.add_argument("--threshold", type=float, metavar="T", help="least score that counts (default: the result's)")
    parser.add_argument("--notes", default="", metavar="TEXT", help="a reader's words for the whole")
    asked = "what they ask of patient and examination; what is not given is unknown: the report says what it assumed"
    _add_guidelines(parser.add_argument_group("guidelines", asked))
    prior = parser.add_argument_group("prior", "an earlier examination of the patient, for growth (docs/growth.md)")
    prior.add_argument(
        "--prior", type=Path, metavar="RESULT_DIR", help="folder that `detect` wrote of the earlier scan"
    )
    prior.add_argument("--prior-image", type=Path, metavar="PATH", help="where that scan is now, when it was moved")
    prior.add_argument("--prior-date", type=day, metavar="YYYY-MM-DD", help="of that scan, if it does not say")
    prior.add_argument("--date", type=day, metavar="YYYY-MM-DD", help="of the current scan, if it does not say")
    prior.add_argument("--same-patient", action="store_true", help="one patient, though the numbers differ")


def _add_guidelines(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--guideline", type=_names, metavar="LIST", help="of lung-rads, fleischner, or none (default: "
                       "the one for the --setting, else both)")  # fmt: skip
    group.add_argument("--setting", choices=SETTINGS, help="why the CT was made; screening is what Lung-RADS is made "
                       "for, nodules found by chance what Fleischner's guideline is")  # fmt: skip
    group.add_argument("--age", type=_age, metavar="YEARS", help="of the patient (default: as the images say); "
                       "Fleischner's guideline is for those of 35 and older")  # fmt: skip
    group.add_argument("--risk", choices=RISKS, help="of lung cancer, for Fleischner; unknown counts as high")
    group.add_argument("--known-cancer", choices=ANSWERS, help="with one, Fleischner's guideline does not apply")
    group.add_argument("--immunosuppressed", choices=ANSWERS, help="if so, Fleischner's guideline does not apply")
    group.add_argument("--not-evaluable", default="", metavar="TEXT", help="what part of the lungs cannot be judged: "
                       "Lung-RADS 0")  # fmt: skip
    group.add_argument("--awaiting-prior", action="store_true", help="earlier CTs are being located: Lung-RADS 0")
    group.add_argument("--suspected-infection", default="", metavar="TEXT", help="what looks infectious or "
                       "inflammatory: Lung-RADS 0")  # fmt: skip
    group.add_argument("--significant", action="append", default=[], metavar="TEXT", help="another finding that "
                       "matters, for Lung-RADS' modifier S; may be given again")  # fmt: skip


def report_choices(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was chosen, by the names of `ReportTask`'s fields.

    :raises InputError: when choices contradict one another.
    """
    from ..report.context import GuidelineContext
    from ..rules import Patient, ScreeningExam

    names = ("output", "deidentify", "source", "review", "threshold", "notes")
    choices = {name: getattr(arguments, name) for name in names}
    if arguments.format is not None:
        choices["formats"] = arguments.format
    if arguments.guideline is not None:
        choices["guidelines"] = () if arguments.guideline == ("none",) else arguments.guideline
    elif arguments.setting is not None:
        choices["guidelines"] = (SETTINGS[arguments.setting],)
    patient = Patient(
        age_years=arguments.age,
        known_cancer=ANSWERS.get(arguments.known_cancer),
        immunosuppressed=ANSWERS.get(arguments.immunosuppressed),
        screening=arguments.setting == "screening",
        high_risk=RISKS.get(arguments.risk),
    )
    exam = ScreeningExam(
        not_evaluable=arguments.not_evaluable,
        awaiting_prior=arguments.awaiting_prior,
        suspected_infection=arguments.suspected_infection,
        significant=tuple(arguments.significant),
    )
    return {**choices, "context": GuidelineContext(patient, exam), "prior": _prior(arguments)}


def _prior(arguments: argparse.Namespace) -> Any:
    from .report_prior import PriorTask

    if arguments.prior is not None:
        names = ("prior", "prior_image", "prior_date", "date", "same_patient")
        return PriorTask(*(getattr(arguments, name) for name in names))
    for name in ("prior_image", "prior_date", "date", "same_patient"):
        if getattr(arguments, name):
            option = f"--{name.replace('_', '-')}"
            raise InputError(f"{option} is about a comparison with a prior; give the prior's result with --prior too.")
    return None


def _names(text: str) -> tuple[str, ...]:
    """A list with commas; each name once."""
    return tuple(dict.fromkeys(name.strip().lower() for name in text.split(",")))


def _age(text: str) -> float:
    years = float(text)
    if not 0 <= years <= OLDEST_YEARS:
        raise argparse.ArgumentTypeError(f"{text} years is no age of a patient; give years from 0 to {OLDEST_YEARS:g}")
    return years


_age.__name__ = "number of years"  # as argparse names it to the user
