"""The fixtures of the tests of the module's reports."""

from __future__ import annotations

import pytest
import SimpleITK as sitk
from export_inputs import detection_scene
from io_inputs import as_image
from review_inputs import Reviewed


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Reviewed:
    """A scene from a file that is no DICOM."""
    home = tmp_path_factory.mktemp("plain")
    sitk.WriteImage(as_image(), str(home / "chest.nrrd"))
    return detection_scene(home, home / "chest.nrrd", name="chest")
