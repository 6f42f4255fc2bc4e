"""The module's entries in Slicer's Sample Data module."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

from ...resources import resource_path

THUMBNAIL = resource_path("Icons", "LungNoduleCAD.png")
CT_CHEST_SHA256 = "4507b664690840abb6cb9af2d919377ffc4ef75b167cb6fd0f747befdb12e38e"
"""Of Slicer's own public chest CT, which its test data server names by this hash."""


def registerSampleData() -> None:
    """Offer a chest with known nodules, and a real one. Called when Slicer has started."""
    import SampleData

    register = SampleData.SampleDataLogic.registerCustomSampleDataSource
    register(
        category="LungNoduleCAD",
        sampleName="ChestPhantom",
        sampleDescription=_("A simulated chest CT with known nodules, computed on this machine."),
        thumbnailFileName=str(THUMBNAIL),
        customDownloader=loadPhantom,
    )
    register(
        category="LungNoduleCAD",
        sampleName="CTChest",
        sampleDescription=_("Slicer's public chest CT."),
        thumbnailFileName=str(THUMBNAIL),
        uris=f"{slicer.util.TESTING_DATA_URL}SHA256/{CT_CHEST_SHA256}",
        fileNames="CT-chest.nrrd",
        checksums=f"SHA256:{CT_CHEST_SHA256}",
        nodeNames="CTChest",
    )


def loadPhantom(source: Any = None, size: str = "chest", seed: int = 0) -> list[Any]:
    """Compute our chest phantom, add it to the scene and show it in the slice views.

    :param source: the sample data source that asks; not used.
    :param size: "chest" or "small".
    :return: the volume node in a list, as Sample Data expects it.
    """
    from ...scene.nodes import add_volume_node
    from ...simulation import make_phantom

    with slicer.util.tryWithErrorDisplay(_("The chest phantom could not be computed."), waitCursor=True):
        phantom = make_phantom(seed=seed, size=size)  # type: ignore[arg-type]
        node = add_volume_node(slicer.mrmlScene, phantom.volume, "ChestPhantom")
        applicationLogic = slicer.app.applicationLogic()
        selection = applicationLogic.GetSelectionNode()
        if selection is not None:
            selection.SetActiveVolumeID(node.GetID())
            applicationLogic.PropagateVolumeSelection()
    return [node]
