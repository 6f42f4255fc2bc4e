"""What a candidate measures: its outline on the scan's own voxels, its axes, volume, density and place."""

from .local_box import sphere_mask
from .lungs import Lungs
from .measure import measure
from .outline import RefineSettings
from .refine import refine_mask

__all__ = ["Lungs", "RefineSettings", "measure", "refine_mask", "sphere_mask"]
