"""The result as files: tables, images, markups and an overview picture. Nothing here needs Slicer."""

from __future__ import annotations
