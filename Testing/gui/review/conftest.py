"""The fixtures of the tests of reviews."""

from gui.reviewing import answers, errors, nodes, scan, shown, views

__all__ = ["answers", "errors", "nodes", "scan", "shown", "views"]
