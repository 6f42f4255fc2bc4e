"""A guideline's suggestion in words, and a box in which a reader chooses another category and says why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import qt

from ...rules import Recommendation
from ...rules.lung_rads_table import GUIDELINE
from .category_texts import AS_SUGGESTED, advice_html, decided_choice


@dataclass(frozen=True)
class CategoryWidgets:
    """What a chooser drives. :param reason: where the reader says why; `hidden` is seen only then."""

    box: Any
    label: Any
    reason: Any
    button: Any
    hidden: tuple[Any, ...]


class CategoryChooser:
    """Drives the widgets of one category: of a finding, or of the examination.

    :param decide: called with category, management and reason, all empty to go back to the suggestion; whether it was
        possible.
    """

    def __init__(self, widgets: CategoryWidgets, decide: Callable[[str, str, str], bool]) -> None:
        self._widgets, self._decide = widgets, decide
        self._advice: Recommendation | None = None
        self._choices: Mapping[str, tuple[str, str]] = {}
        self._wished = AS_SUGGESTED
        widgets.box.activated.connect(self.onChosen)
        widgets.reason.textChanged.connect(self.onReasonChanged)
        widgets.reason.returnPressed.connect(self.onSet)
        widgets.button.clicked.connect(self.onSet)

    def forget(self) -> None:
        """Drop a wish that was not set; its reason too."""
        self._wished = AS_SUGGESTED
        self._widgets.reason.text = ""

    # -- user actions ------------------------------------------------------------------------------------------------
    def onChosen(self, index: int = 0) -> None:
        """Another category than suggested: it counts when the reader has said why. The suggestion needs no reason."""
        box, advice = self._widgets.box, self._advice
        wished = str(box.itemData(box.currentIndex) or AS_SUGGESTED)
        if advice is None:
            return
        if wished == AS_SUGGESTED and advice.overridden_by is not None:
            self._wished = AS_SUGGESTED
            self._decide("", "", "")
            return
        self._wished = wished if wished != decided_choice(advice) else AS_SUGGESTED
        self._update()
        if self._wished:
            self._widgets.reason.setFocus()

    def onReasonChanged(self, text: str) -> None:
        """A category of one's own needs a reason."""
        self._widgets.button.enabled = bool(text.strip())

    def onSet(self, checked: bool = False) -> None:
        """The chosen category counts from now on."""
        reason, advice = self._widgets.reason.text.strip(), self._advice
        if self._wished and reason and advice is not None:
            category, management = self._choice(advice, self._wished)
            self._wished = AS_SUGGESTED
            if self._decide(category, management, reason):
                self._widgets.reason.text = ""

    # -- appearance --------------------------------------------------------------------------------------------------
    def show(self, advice: Recommendation | None, choices: Mapping[str, tuple[str, str]], unstated: str) -> None:
        """Follow a suggestion.

        :param choices: text and explanation by key; see `category_texts`. :param unstated: said where there is none.
        """
        self._advice, self._choices = advice, choices
        if advice is None:
            self._wished = AS_SUGGESTED
        self._widgets.box.enabled = advice is not None
        self._widgets.label.toolTip = advice.source if advice is not None else ""
        if advice is None:
            self._widgets.label.text = unstated
        self._update()

    def _update(self) -> None:
        widgets, advice = self._widgets, self._advice
        widgets.box.clear()
        for value, (text, explanation) in self._choices.items():
            widgets.box.addItem(text, value)
            # A follow-up may be longer than the box is wide.
            widgets.box.setItemData(widgets.box.count - 1, explanation, qt.Qt.ToolTipRole)
        if advice is not None:
            widgets.box.currentIndex = max(0, widgets.box.findData(self._wished or decided_choice(advice)))
            widgets.label.text = advice_html(advice, self._choice(advice, self._wished) if self._wished else None)
        for widget in widgets.hidden:
            widget.visible = bool(self._wished)
        widgets.button.enabled = bool(widgets.reason.text.strip())

    def _choice(self, advice: Recommendation, value: str) -> tuple[str, str]:
        """Category and management of a choice: Lung-RADS' category decides what to do, of Fleischner that is chosen."""
        return (value, self._choices[value][1]) if advice.guideline == GUIDELINE else (advice.category, value)
