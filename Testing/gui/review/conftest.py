"""The fixtures of the tests of reviews."""

from gui.reviewing import answers, nodes, scan

__all__ = ["answers", "nodes", "scan"]
