"""What a candidate measures: its outline on the scan's own voxels, its axes, volume and density."""

from .local_box import sphere_mask
from .measure import measure
from .refine import RefineSettings, refine_mask

__all__ = ["RefineSettings", "measure", "refine_mask", "sphere_mask"]
