"""The input check's verdict on a volume, as the module shows it."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError
from ..io.quality import QualityFinding, check_quality
from ..volume import Volume


@dataclass(frozen=True)
class InputVerdict:
    """What the check says.

    :param refusal: why the volume cannot be searched; empty when it can. :param findings: what its reader must know.
    """

    refusal: str = ""
    findings: tuple[QualityFinding, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether a run gives a meaningful answer."""
        return not self.refusal

    @property
    def warnings(self) -> tuple[str, ...]:
        """The findings that a run carries into its result."""
        return tuple(f.message for f in self.findings if f.severity == "warning")


def check_input(volume: Volume) -> InputVerdict:
    """Check a volume; never raises for what is wrong with it."""
    try:
        return InputVerdict(findings=tuple(check_quality(volume)))
    except InputError as error:
        return InputVerdict(refusal=str(error))
