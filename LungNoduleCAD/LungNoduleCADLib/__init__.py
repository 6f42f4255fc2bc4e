"""LungNoduleCAD: lung nodule detection in chest CT. Research use only, not for diagnostic use."""

__version__ = "0.1.0"
