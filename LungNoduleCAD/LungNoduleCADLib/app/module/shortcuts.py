"""Keys of the module, which work in the whole application while the module is open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import qt

KEYS = {
    "next": "N", "previous": "P", "overlay": "O", "accept": "A", "reject": "X", "undo": "U", "redo": "Y", "add": "M",
}  # fmt: skip
"""Key of each action. None of them means anything in Slicer's slice and 3D views (b, f, g, r, s, t, v and brackets do)
or its main window, where Ctrl+Z is Slicer's own undo."""


class Shortcuts:
    """Binds keys to actions.

    :param actions: what to call for an action of `KEYS`; the others have no key.
    :param parent: the module's widget. The keys work while it is to be seen.
    """

    def __init__(self, actions: Mapping[str, Callable[[], None]], parent: Any) -> None:
        self._shortcuts = [self._make(KEYS[name], action, parent) for name, action in actions.items()]

    def setActive(self, active: bool) -> None:
        """Make the keys work, or leave them to others."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(active)

    def _make(self, key: str, action: Callable[[], None], parent: Any) -> Any:
        shortcut = qt.QShortcut(qt.QKeySequence(key), parent)
        # Also when a view, or a window of its own, has the focus. Text fields keep their letters.
        shortcut.setContext(qt.Qt.ApplicationShortcut)
        shortcut.setEnabled(False)
        shortcut.activated.connect(action)
        return shortcut


def with_key(text: str, action: str) -> str:
    """A tool tip with the action's key."""
    return f"{text} ({KEYS[action]})"
