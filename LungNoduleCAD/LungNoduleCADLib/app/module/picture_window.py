"""A picture or an animation in a window of its own."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from ...io.atomic import write_bytes
from .performing import perform

LARGEST_PX = (1100, 800)


class PictureWindow:
    """Shows a file's picture; larger ones can be scrolled, animations run. The window stays beside Slicer's.

    :param file: PNG or GIF, which stays where it is while the window is open.
    """

    def __init__(self, title: str, file: Path) -> None:
        self._file = file
        self.window = qt.QDialog(slicer.util.mainWindow())
        self.window.setWindowTitle(title)
        self._label = qt.QLabel()
        self._movie = qt.QMovie(str(file)) if file.suffix == ".gif" else None
        size = self._load(file)
        area = qt.QScrollArea()
        area.setWidget(self._label)
        save = qt.QPushButton(_("Save as…"))
        save.clicked.connect(self.onSave)
        layout = qt.QVBoxLayout(self.window)
        layout.addWidget(area)
        layout.addWidget(save)
        margin = 60  # of frames, bars and the button
        self.window.resize(*(min(a + margin, b) for a, b in zip(size, LARGEST_PX, strict=True)))
        self.window.show()

    def _load(self, file: Path) -> tuple[int, int]:
        """Width and height of the picture, which is in the label now."""
        pixmap = qt.QPixmap(str(file))
        self._label.setPixmap(pixmap)
        self._label.resize(pixmap.width(), pixmap.height())
        if self._movie is not None:
            self._label.setMovie(self._movie)
            self._movie.start()
        return int(pixmap.width()), int(pixmap.height())

    def onSave(self, checked: bool = False) -> None:
        """Keep a copy of the picture."""
        chosen = qt.QFileDialog.getSaveFileName(self.window, _("Save the picture"), self._file.name)
        path = chosen[0] if isinstance(chosen, (tuple, list)) else chosen
        if path:
            perform(_("The picture could not be saved."), lambda: write_bytes(str(path), self._file.read_bytes()))

    def close(self) -> None:
        """Close the window."""
        if self._movie is not None:
            self._movie.stop()
        self.window.close()
        self.window.deleteLater()


def open_picture(title: str, name: str, content: bytes, folder: Path) -> PictureWindow | None:
    """Open a window for a picture; keep what is returned while it is open. Where Slicer cannot read its format, the
    system's own viewer opens it.

    :param folder: takes the picture's file.
    """
    file = folder / name
    file.write_bytes(content)
    if qt.QPixmap(str(file)).isNull():
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(file)))
        return None
    return PictureWindow(title, file)
