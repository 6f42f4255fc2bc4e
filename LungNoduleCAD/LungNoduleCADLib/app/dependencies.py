"""The Python packages that detector and reports need inside Slicer: what is missing, and installing it when the user
agrees."""

from __future__ import annotations

import importlib
import logging
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..errors import LungNoduleCADError

TORCH_REQUIREMENT = ">=2.5"
"""The first with `torch.OutOfMemoryError`."""

REQUESTER = "LungNoduleCAD"


class DependencyError(LungNoduleCADError):
    """Something the detector needs is missing and was not installed."""


def missing_requirements(requirements_file: Path | str) -> list[str]:
    """The lines of a requirements file that this interpreter does not satisfy. Imports none of the packages."""
    lines = (line.split("#")[0].strip() for line in Path(requirements_file).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not _is_satisfied(line)]


def is_torch_missing() -> bool:
    """Whether PyTorch is absent or too old."""
    return not _is_satisfied(f"torch{TORCH_REQUIREMENT}")


def ensure_dependencies(requirements_file: Path | str) -> None:
    """Install what is missing after asking: PyTorch by the PyTorch extension, the rest by Slicer's package manager.

    Main thread only. Nothing is asked, imported or installed when nothing is missing.

    :raises DependencyError: when something is still missing afterwards, with the reason.
    """
    _ensure(requirements_file, "the detector", with_torch=True)


def ensure_packages(requirements_file: Path | str) -> None:
    """As `ensure_dependencies`, without PyTorch."""
    _ensure(requirements_file, "the report", with_torch=False)


def ensure_explanation_packages(requirements_file: Path | str) -> None:
    """Likewise, for an explanation."""
    _ensure(requirements_file, "the explanation", with_torch=False)


def _ensure(requirements_file: Path | str, needed_by: str, *, with_torch: bool) -> None:
    try:
        if with_torch and is_torch_missing():
            _install_torch()
        if missing := missing_requirements(requirements_file):
            _install(missing, needed_by)
    except subprocess.CalledProcessError:  # pip failed: no network, no space, no right to write
        logging.exception("pip failed")
    importlib.invalidate_caches()
    still_missing = ["torch"] * (with_torch and is_torch_missing()) + missing_requirements(requirements_file)
    if still_missing:
        raise DependencyError(f"{', '.join(still_missing)} could not be installed; the Python console shows why.")


def _install_torch() -> None:
    try:
        torch_utils: Any = importlib.import_module("PyTorchUtils")
    except ModuleNotFoundError as error:
        raise DependencyError(
            "PyTorch is missing; install the extension 'PyTorch' in the Extensions Manager and restart Slicer."
        ) from error
    installed = torch_utils.PyTorchUtilsLogic().installTorch(
        askConfirmation=True, torchVersionRequirement=TORCH_REQUIREMENT
    )
    if installed is None:
        raise DependencyError("PyTorch was not installed; the detector cannot run without it.")


def _install(requirements: list[str], needed_by: str) -> None:
    import slicer

    try:
        slicer_packaging: Any = importlib.import_module("slicer.packaging")
    except ModuleNotFoundError:  # Slicer before 5.11
        question = f"{REQUESTER} needs to install {', '.join(requirements)} into Slicer's Python. Continue?"
        if not slicer.util.confirmOkCancelDisplay(question, windowTitle=REQUESTER):
            raise DependencyError(f"{', '.join(requirements)} was not installed; {needed_by} needs it.") from None
        slicer.util.pip_install(requirements)
        return
    try:
        slicer_packaging.pip_ensure(requirements, requester=REQUESTER)
    except RuntimeError as error:  # how pip_ensure says that the user declined
        raise DependencyError(
            f"{', '.join(requirements)} was not installed ({error}); {needed_by} cannot do without."
        ) from error


def _is_satisfied(line: str) -> bool:
    from packaging.requirements import Requirement
    from packaging.version import Version

    requirement = Requirement(line)
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    try:
        return Version(version(requirement.name)) in requirement.specifier
    except PackageNotFoundError:
        return False
