"""Images in, results out: reading CTs and masks, checking them, and writing files whole or not at all."""

from .atomic import clear_unfinished, output_folder, write_bytes, write_json, write_text
from .quality import QualityFinding, check_quality
from .reader import read_mask, read_volume
from .references import read_reference

__all__ = [
    "QualityFinding",
    "check_quality",
    "clear_unfinished",
    "output_folder",
    "read_mask",
    "read_reference",
    "read_volume",
    "write_bytes",
    "write_json",
    "write_text",
]
