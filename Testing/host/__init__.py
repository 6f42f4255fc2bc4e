"""Slicer's application, as far as the module needs it, over real Qt (PySide6, offscreen) and real MRML (slicer-core).

Doubled is only what exists nowhere outside the application. The doubles keep the real names, signatures and failure
behaviour, and refuse attributes that the real classes do not have. With the environment variable SLICER_PY (folder
Base/Python of a Slicer source tree), Slicer's own ScriptedLoadableModule, parameterNodeWrapper, i18n and packaging take
the place of theirs, so that the same tests run on both.
"""

from .loading import Module, enter_module, leave_module, load_module, start_application

__all__ = ["Module", "enter_module", "leave_module", "load_module", "start_application"]
