"""The earlier examination that a report compares with, as a reader chooses it in the report section."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ctk
import qt
from slicer.i18n import tr as _

from ...scene.detections import DetectionNodes
from ..export_job import PriorRequest
from ..prior_folder import PriorFolder, prior_folder
from .performing import perform

FOLDER = "folder"
"""Key of the choice that is no scan of the scene."""


class PriorForm:
    """Drives the prior's widgets of `LungNoduleCAD.ui`.

    :param ui: the widgets, by name.
    """

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self._priors: Mapping[str, DetectionNodes] = {}
        self._names: list[tuple[str, str]] = []
        self._folder: PriorFolder | None = None
        ui.priorComboBox.currentIndexChanged.connect(self.onChosen)
        ui.priorFolderButton.clicked.connect(self.onFolderButton)
        self.fill([])

    def fill(self, priors: list[tuple[str, DetectionNodes]]) -> None:
        """Offer other detections, and a folder that was chosen; the chosen one stays chosen while it is there.

        :param priors: with their names.
        """
        self._priors = {nodes.record.GetID(): nodes for _name, nodes in priors}
        self._names = [(name, nodes.record.GetID()) for name, nodes in priors]
        self._offer(self._key())

    def clear(self) -> None:
        """Forget what belongs to one patient."""
        self._folder = None
        self.ui.priorComboBox.currentIndex = 0
        for edit in (self.ui.priorDayEdit, self.ui.currentDayEdit):
            edit.text = ""
        self.ui.samePatientCheckBox.checked = False

    @property
    def chosen(self) -> DetectionNodes | None:
        """The prior's detection, where it is one of the scene."""
        return self._priors.get(self._key())

    @property
    def request(self) -> PriorRequest:
        """What is said of it; what is hidden is not said."""
        ui = self.ui
        if not self._key():
            return PriorRequest()
        folder = self._folder if self._key() == FOLDER else None
        return PriorRequest(
            ui.priorDayEdit.text.strip(),
            ui.currentDayEdit.text.strip(),
            bool(ui.samePatientCheckBox.checked),
            folder="" if folder is None else str(folder.folder),
            scan="" if folder is None else ui.priorScanPathLineEdit.currentPath.strip(),
        )

    # -- user actions ----------------------------------------------------------------------------------------------
    def onChosen(self, index: int = 0) -> None:
        """Another prior, or none: what is asked about it is seen where there is one."""
        self.ui.priorDetailsWidget.visible = bool(self._key())
        self.ui.priorScanWidget.visible = self._key() == FOLDER

    def onFolderButton(self, checked: bool = False) -> None:
        """Take a result of the command line for the prior; one dialog says why a folder is none."""
        title = _("Result of an earlier scan, as `lungnodulecad detect` wrote it")
        start = "" if self._folder is None else str(self._folder.folder)
        chosen = qt.QFileDialog.getExistingDirectory(self.ui.priorWidget, title, start)
        if chosen:
            perform(_("The folder could not be read."), lambda: self._takeFolder(Path(str(chosen))))

    def _takeFolder(self, folder: Path) -> None:
        self._folder = found = prior_folder(folder)
        edit = self.ui.priorScanPathLineEdit
        edit.filters = ctk.ctkPathLineEdit.Dirs if found.is_dicom else ctk.ctkPathLineEdit.Files
        edit.currentPath = found.scan
        self._offer(FOLDER)

    def _offer(self, chosen: str) -> None:
        """:param chosen: key of the one to choose."""
        box = self.ui.priorComboBox
        wasBlocked = box.blockSignals(True)
        box.clear()
        box.addItem(_("None: a first examination"), "")
        for name, key in self._names:
            box.addItem(name, key)
        if self._folder is not None:
            box.addItem(self._folder.name, FOLDER)
            box.setItemData(box.count - 1, str(self._folder.folder), qt.Qt.ToolTipRole)
        box.currentIndex = max(0, box.findData(chosen))
        box.blockSignals(wasBlocked)
        self.onChosen()

    def _key(self) -> str:
        box = self.ui.priorComboBox
        return str(box.itemData(box.currentIndex) or "")
