"""The one family of exceptions a user can meet.

Every message is one sentence that names the input, says what is wrong with it and what to do. The command line prints
it and exits with code 2; the Slicer module shows it in one dialog.
"""

from __future__ import annotations


class LungNoduleCADError(Exception):
    """Base of every error that is the user's to mend: bad input, missing weights, no room on the disk."""


class InputError(LungNoduleCADError):
    """The given image, series, mask or reference cannot be used."""


class ModelError(LungNoduleCADError):
    """The weights or their card are missing, corrupt, or ask for something this version does not know."""


class OutputError(LungNoduleCADError):
    """A result could not be written; nothing was left behind."""


class DeviceError(LungNoduleCADError):
    """The requested compute device does not exist or cannot be used."""


class Cancelled(LungNoduleCADError):
    """The user asked to stop. Not a fault; nothing was written."""

    def __init__(self, message: str = "The run was cancelled; nothing was written.") -> None:
        super().__init__(message)
