"""Where the files lie that come with the library: weights, icons, user interface."""

from __future__ import annotations

from pathlib import Path


def resource_path(*parts: str) -> Path:
    """A file or folder of `Resources/`, whether or not it exists.

    In the source tree and in an installed Slicer extension `Resources/` lies beside the library, as Slicer wants it;
    in a wheel it lies inside it, because what lies beside it there belongs to other packages.
    """
    library = Path(__file__).resolve().parent
    inside = library / "Resources"
    return (inside if inside.is_dir() else library.parent / "Resources").joinpath(*parts)
