"""The module's entries in Slicer's Sample Data module."""

from __future__ import annotations

from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ...errors import LungNoduleCADError
from ...resources import resource_path
from ...scene.nodes import add_volume_node
from ...volume import Volume
from ..background import Background

CATEGORY = "LungNoduleCAD"
PHANTOM_NAME = "ChestPhantom"
CT_CHEST_SHA256 = "4507b664690840abb6cb9af2d919377ffc4ef75b167cb6fd0f747befdb12e38e"
"""Of Slicer's own public chest CT, which its test data server names by this hash."""


def registerSampleData() -> None:
    """Offer a chest with known nodules, and a real one. Called when Slicer has started."""
    import SampleData

    logic = SampleData.SampleDataLogic
    if hasattr(logic, "registerCustomSampleDataCategory"):  # Slicer 5.10 has it not
        logic.registerCustomSampleDataCategory(CATEGORY, title=_("Lung Nodule CAD"))
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=PHANTOM_NAME,
        thumbnailFileName=str(resource_path("Icons", "ChestPhantom.png")),
        # Slicer wants as many addresses as file names, also where nothing is downloaded.
        uris="",
        fileNames=PHANTOM_NAME,
        nodeNames=PHANTOM_NAME,
        customDownloader=loadPhantom,
    )
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName="CTChest",
        uris=f"{slicer.util.TESTING_DATA_URL}SHA256/{CT_CHEST_SHA256}",
        fileNames="CT-chest.nrrd",
        checksums=f"SHA256:{CT_CHEST_SHA256}",
        nodeNames="CTChest",
    )


def loadPhantom(source: Any = None, size: str = "chest", seed: int = 0) -> list[Any]:
    """Compute our chest phantom, add it to the scene and show it in the slice views. The application stays responsive.

    :param source: the sample data source that asks; not used.
    :param size: "chest", half a minute's work, or "small".
    :return: the volume node in a list, as Sample Data expects it.
    :raises LungNoduleCADError: when it could not be computed.
    """
    with slicer.util.tryWithErrorDisplay(_("The chest phantom could not be computed.")):
        node = add_volume_node(slicer.mrmlScene, _computePhantom(size, seed), PHANTOM_NAME)
    applicationLogic = slicer.app.applicationLogic()
    selection = applicationLogic.GetSelectionNode()
    if selection is not None:
        selection.SetActiveVolumeID(node.GetID())
        applicationLogic.PropagateVolumeSelection()
    return [node]


def _computePhantom(size: str, seed: int) -> Volume:
    from ...simulation import make_phantom

    dialog = qt.QProgressDialog()
    dialog.windowTitle = _("Lung Nodule CAD")
    dialog.labelText = _("Computing a chest with nodules…")
    dialog.setCancelButton(None)
    dialog.setRange(0, 0)
    dialog.windowModality = qt.Qt.ApplicationModal
    dialog.show()
    work = Background(lambda: make_phantom(seed=seed, size=size).volume)  # type: ignore[arg-type]
    while not work.is_done:
        slicer.app.processEvents()
        qt.QThread.msleep(20)
    dialog.close()
    volume = work.answer(None)
    if volume is None:
        raise LungNoduleCADError("The phantom could not be computed; the Python console shows why.")
    return volume
