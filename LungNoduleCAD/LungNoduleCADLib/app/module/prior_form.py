"""The earlier examination that a report compares with, as a reader chooses it in the report section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slicer.i18n import tr as _

from ...scene.detections import DetectionNodes
from ..export_job import PriorRequest


class PriorForm:
    """Drives the prior's widgets of `LungNoduleCAD.ui`.

    :param ui: the widgets, by name.
    """

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self._priors: Mapping[str, DetectionNodes] = {}
        ui.priorComboBox.currentIndexChanged.connect(self.onChosen)
        self.fill([])

    def fill(self, priors: list[tuple[str, DetectionNodes]]) -> None:
        """Offer other detections; the chosen one stays chosen while it is there.

        :param priors: with their names.
        """
        box, chosen = self.ui.priorComboBox, self._key()
        self._priors = {nodes.record.GetID(): nodes for _name, nodes in priors}
        wasBlocked = box.blockSignals(True)
        box.clear()
        box.addItem(_("None: a first examination") if priors else _("None: detect in an earlier scan too"), "")
        for name, nodes in priors:
            box.addItem(name, nodes.record.GetID())
        box.currentIndex = max(0, box.findData(chosen))
        box.blockSignals(wasBlocked)
        self.onChosen()

    def clear(self) -> None:
        """Forget what belongs to one patient."""
        self.ui.priorComboBox.currentIndex = 0
        for edit in (self.ui.priorDayEdit, self.ui.currentDayEdit):
            edit.text = ""
        self.ui.samePatientCheckBox.checked = False

    @property
    def chosen(self) -> DetectionNodes | None:
        """The prior's detection."""
        return self._priors.get(self._key())

    @property
    def request(self) -> PriorRequest:
        """What is said of it; what is hidden is not said."""
        ui = self.ui
        if self.chosen is None:
            return PriorRequest()
        return PriorRequest(
            ui.priorDayEdit.text.strip(), ui.currentDayEdit.text.strip(), bool(ui.samePatientCheckBox.checked)
        )

    def onChosen(self, index: int = 0) -> None:
        """Another prior, or none: what is asked about it is seen where there is one."""
        self.ui.priorDetailsWidget.visible = self.chosen is not None

    def _key(self) -> str:
        box = self.ui.priorComboBox
        return str(box.itemData(box.currentIndex) or "")
