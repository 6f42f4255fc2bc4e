"""The command line: everything that needs no user interface.

    lungnodulecad detect INPUT --output DIR
    lungnodulecad report DIR --format html,pdf
    lungnodulecad explain DIR --finding N1 --output DIR
    lungnodulecad compare CURRENT_DIR PRIOR_DIR --output DIR
    lungnodulecad phantom --output DIR
    lungnodulecad demo
    lungnodulecad info
    lungnodulecad evaluate froc --annotations A --scans S --submission F
    lungnodulecad evaluate report --submission RESULTS --annotations A --output DIR

Exit codes: 0 done; 1 a fault of this program; 2 something for the user to mend, said in one line on standard error;
130 stopped by Ctrl-C, 143 by a kill. Whatever the code, a result is written whole or not at all.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NoReturn

from . import __version__
from .app.console_progress import STYLES, progress_reporter
from .app.evaluation_arguments import add_page_arguments, add_submission_arguments
from .app.interrupt import Stopped, stop_on_signals
from .app.report_arguments import add_report_arguments, report_choices
from .errors import InputError, LungNoduleCADError

# Only what parsing needs is imported above: `--help` and refusals must not wait for PyTorch.

USER_ERROR = 2
FAULT = 1
NOBODY_LISTENS = 141
"""As the shell reports a program that ended by SIGPIPE."""

WORDS_OF_LUNG_MASK = ("auto", "none")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    :param argv: without the program's name; None takes the process's own.
    """
    debug = False
    try:
        arguments = build_parser().parse_args(argv)
        debug = arguments.debug
        with stop_on_signals():
            arguments.run(arguments)
            sys.stdout.flush()
    except Stopped as stopped:
        _complain(str(stopped))
        return stopped.exit_code
    except LungNoduleCADError as error:
        if debug:
            traceback.print_exc()
        _complain(str(error))
        return USER_ERROR
    except BrokenPipeError:
        # Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_LISTENS
    except Exception as error:
        if debug:
            traceback.print_exc()
        kind = "memory ran out" if isinstance(error, MemoryError) else f"{type(error).__name__}: {error}"
        _complain(f"Unexpected fault ({_one_line(kind)}); run again with --debug and report what it prints.")
        return FAULT
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser of every subcommand; each sets `run`, the function that does it."""
    parser = _Parser(prog="lungnodulecad", description="Lung nodule detection in chest CT. Research use only.")
    parser.add_argument("--version", action="version", version=f"lungnodulecad {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    common = _Parser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show the full traceback of an error")
    running = _Parser(add_help=False)
    running.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda, cuda:N or mps")
    running.add_argument("--weights", type=Path, metavar="DIR", help="other weights than the shipped ones")
    searching = _Parser(add_help=False)
    searching.add_argument("--threshold", type=float, metavar="T", help="least score that counts (default: the card's)")
    searching.add_argument("--batch", type=int, metavar="N", help="slices and patches at a time in the networks")
    searching.add_argument("--progress", choices=STYLES, default="bar", help="default: bar")

    detect = commands.add_parser("detect", parents=[common, running, searching], help="find nodules in a chest CT")
    detect.add_argument("input", type=Path, metavar="INPUT", help="DICOM folder, .mhd, .mha, .nrrd, .nii or .nii.gz")
    detect.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    detect.add_argument("--reference", type=Path, metavar="FILE", help="LUNA16 CSV, .mrk.json or mask to compare with")
    detect.add_argument("--lung-mask", default="auto", metavar="FILE|none", help="lung mask, or none: look everywhere")
    detect.add_argument("--series", metavar="UID", help="DICOM series to read, where the folder holds several")
    detect.set_defaults(run=_detect)

    report = commands.add_parser("report", parents=[common], help="make a report of a detection")
    add_report_arguments(report, _day)
    report.set_defaults(run=_report)

    explain = commands.add_parser("explain", parents=[common, running], help="why a finding has its score")
    explain.add_argument("result", type=Path, metavar="RESULT_DIR", help="folder that `detect` wrote")
    explain.add_argument("--finding", required=True, metavar="LABEL", help="which one, such as N1")
    explain.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for maps and pictures")
    explain.add_argument("--source", type=Path, metavar="PATH", help="where the scan is now, when it was moved")
    explain.add_argument("--progress", choices=STYLES, default="bar", help="default: bar")
    explain.set_defaults(run=_explain)

    compare = commands.add_parser("compare", parents=[common], help="what grew, came and went since a prior scan")
    compare.add_argument("current", type=Path, metavar="CURRENT_RESULT_DIR", help="folder that `detect` wrote")
    compare.add_argument("prior", type=Path, metavar="PRIOR_RESULT_DIR", help="the same of the earlier scan")
    compare.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the comparison")
    for name in ("current", "prior"):
        compare.add_argument(f"--{name}-image", type=Path, metavar="PATH", help="where that scan is, when it was moved")
        compare.add_argument(f"--{name}-date", type=_day, metavar="YYYY-MM-DD", help="of that scan, if it does not say")
    compare.add_argument("--same-patient", action="store_true", help="one patient, though the numbers differ")
    compare.add_argument("--progress", choices=STYLES, default="bar", help="default: bar")
    compare.set_defaults(run=_compare)

    phantom = commands.add_parser("phantom", parents=[common], help="simulate a chest CT with known nodules")
    phantom.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the CT and its truth")
    phantom.add_argument("--seed", type=_count, default=0, help="another seed, another patient (default: 0)")
    phantom.add_argument("--size", choices=("chest", "small"), default="chest", help="default: chest")
    phantom.add_argument("--nodules", type=_count, metavar="N", help="how many nodules (default: 6, small: 3)")
    phantom.add_argument("--spacing", type=float, nargs=3, metavar=("K", "J", "I"), help="of slices, rows, columns, mm")
    phantom.add_argument("--noise", type=float, metavar="HU", help="standard deviation of the noise (default: 25)")
    phantom.add_argument("--format", choices=("nrrd", "mha"), default="nrrd", help="image format (default: nrrd)")
    phantom.set_defaults(run=_phantom)

    demo = commands.add_parser("demo", parents=[common, running, searching], help="detect in a simulated chest")
    demo.add_argument("--output", type=Path, default=Path("demo-output"), metavar="DIR", help="default: demo-output")
    demo.add_argument("--seed", type=_count, default=0, help="of the simulated chest (default: 0)")
    demo.add_argument("--size", choices=("chest", "small"), default="chest", help="small is quicker (default: chest)")
    demo.set_defaults(run=_demo)

    info = commands.add_parser("info", parents=[common, running], help="weights, device and versions")
    info.add_argument("--json", action="store_true", help="as JSON")
    info.set_defaults(run=_info)

    evaluate = commands.add_parser("evaluate", help="judge detections against a reference")
    kinds = evaluate.add_subparsers(required=True, metavar="KIND")
    froc = kinds.add_parser("froc", parents=[common], help="FROC and CPM by the LUNA16 protocol")
    for name, needed, text in (
        ("annotations", True, "nodules to find: seriesuid, coordX, coordY, coordZ, diameter_mm"),
        ("excluded", False, "findings that count neither way, same columns"),
        ("scans", True, "series UIDs, one a line"),
        ("submission", True, "marks: seriesuid, coordX, coordY, coordZ, probability"),
        ("json", False, "write figures and curve here"),
    ):
        froc.add_argument(f"--{name}", type=Path, required=needed, metavar="FILE", help=text)
    froc.add_argument("--bootstrap", type=_count, default=0, metavar="N", help="resamples for a 95 %% band")
    froc.add_argument("--seed", type=_count, default=0, help="of the resampling")
    froc.set_defaults(run=_evaluate_froc)

    page = kinds.add_parser("report", parents=[common], help="a page of every figure of submissions")
    add_submission_arguments(page)
    add_page_arguments(page)
    page.set_defaults(run=_evaluate_report)
    return parser


class _Parser(argparse.ArgumentParser):
    """Refuses in one sentence, as everything here does, instead of printing the usage."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message[:1].upper()}{message[1:]}; see `{self.prog} --help`.")


def _detect(arguments: argparse.Namespace) -> None:
    from .app.detect import DetectionTask, detect

    word = arguments.lung_mask in WORDS_OF_LUNG_MASK
    task = DetectionTask(
        source=arguments.input,
        output=arguments.output,
        device=arguments.device,
        threshold=arguments.threshold,
        reference=arguments.reference,
        lung_mask=arguments.lung_mask if word else Path(arguments.lung_mask),
        series_uid=arguments.series,
        weights=arguments.weights,
        batch=arguments.batch,
    )
    outcome = detect(task, progress_reporter(arguments.progress))
    if arguments.progress != "json":
        from .app.console import describe_outcome

        print(describe_outcome(outcome, task.output))


def _report(arguments: argparse.Namespace) -> None:
    from .app.report import ReportTask, describe_report, make_report

    print(describe_report(make_report(ReportTask(arguments.result, **report_choices(arguments)))))


def _explain(arguments: argparse.Namespace) -> None:
    from .app.explain import ExplanationTask, describe_explanation, make_explanation

    names = ("result", "finding", "output", "source", "weights", "device")
    task = ExplanationTask(**{name: getattr(arguments, name) for name in names})
    outcome = make_explanation(task, progress_reporter(arguments.progress))
    if arguments.progress != "json":
        print(describe_explanation(outcome))


def _compare(arguments: argparse.Namespace) -> None:
    from .app.compare import ComparisonTask, compare, describe_comparison

    names = ("current", "prior", "output", "current_image", "prior_image", "current_date", "prior_date", "same_patient")
    task = ComparisonTask(**{name: getattr(arguments, name) for name in names})
    outcome = compare(task, progress_reporter(arguments.progress))
    if arguments.progress != "json":
        print(describe_comparison(outcome))


def _phantom(arguments: argparse.Namespace) -> None:
    from .simulation import make_phantom, write_phantom

    settings = {} if arguments.noise is None else {"noise_hu": arguments.noise}
    phantom = make_phantom(arguments.seed, arguments.nodules, arguments.spacing, size=arguments.size, **settings)
    image = write_phantom(phantom, arguments.output, arguments.format)
    print(f"{image}: {phantom.volume.shape[0]} slices, {len(phantom.nodules)} nodules")
    for nodule in phantom.nodules:
        position = " ".join(f"{value:7.1f}" for value in nodule.center_lps)
        print(f"  {nodule.diameter_mm:5.1f} mm at {position} LPS, {nodule.label}")


def _demo(arguments: argparse.Namespace) -> None:
    from .app.demo import run_demo

    choices = {name: getattr(arguments, name) for name in ("device", "threshold", "weights", "batch")}
    progress = progress_reporter(arguments.progress)
    outcome, task = run_demo(arguments.output, progress, arguments.seed, arguments.size, **choices)
    if arguments.progress != "json":
        from .app.console import describe_outcome

        print(describe_outcome(outcome, task.output))
        print(f"\nThe simulated CT: {task.source}")
        print(f"The findings as a picture: {task.output / 'overview.png'}, as data: {task.output / 'findings.json'}")
        print(f"For 3D Slicer: {task.output / 'scene.mrb'}")


def _info(arguments: argparse.Namespace) -> None:
    from .app.information import collect_information, describe_information

    information = collect_information(arguments.weights, arguments.device)
    if arguments.json:
        import json

        print(json.dumps(information, indent=2, ensure_ascii=False))
    else:
        print(describe_information(information))


def _evaluate_froc(arguments: argparse.Namespace) -> None:
    from .app.froc_report import describe_froc, evaluate_files
    from .evaluation.record import froc_as_json

    tables = {name: getattr(arguments, name) for name in ("annotations", "excluded", "scans", "submission")}
    result = evaluate_files(**tables, bootstrap=arguments.bootstrap, seed=arguments.seed)
    if arguments.json is not None:
        from .io import write_json

        write_json(arguments.json, froc_as_json(result))
    print(describe_froc(result))


def _evaluate_report(arguments: argparse.Namespace) -> None:
    from .app.submission_report import write_submission_report

    print(write_submission_report(arguments))


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is below 0")
    return number


def _day(text: str) -> date:
    return date.fromisoformat(text)


_day.__name__ = "date (YYYY-MM-DD)"
_count.__name__ = "whole number"  # as argparse names it to the user


def _complain(message: str) -> None:
    if sys.stderr.isatty():
        print(file=sys.stderr)  # a progress bar may still be on the line
    print(message, file=sys.stderr, flush=True)


def _one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    sys.exit(main())
