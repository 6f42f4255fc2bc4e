"""Libraries that evaluation needs and detection does not."""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import LungNoduleCADError


class MissingLibraryError(LungNoduleCADError):
    """A library that only evaluation needs is not installed."""


def sklearn_metrics() -> Any:
    """`sklearn.metrics`.

    :raises MissingLibraryError: when it is not installed.
    """
    return _imported("sklearn.metrics", "scikit-learn")


def jinja2() -> Any:
    """`jinja2`.

    :raises MissingLibraryError: when it is not installed.
    """
    return _imported("jinja2", "Jinja2")


def _imported(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingLibraryError(
            f"The package {package} is missing; install it with `pip install 'lungnodulecad[evaluation]'`."
        ) from error
