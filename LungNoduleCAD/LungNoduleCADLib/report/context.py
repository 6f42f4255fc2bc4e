"""What a guideline asks beyond the nodules, as a reader states it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..rules import Patient, ScreeningExam
from .text import plain_text


@dataclass(frozen=True)
class GuidelineContext:
    """Of the patient for Fleischner, of the examination for Lung-RADS.

    :param patient: where no age is stated, the images' is taken.
    """

    patient: Patient = field(default_factory=Patient)
    exam: ScreeningExam = field(default_factory=ScreeningExam)

    def made_plain(self) -> GuidelineContext:
        """The same with texts that every format can hold; empty ones are none."""
        exam = self.exam
        significant = tuple(text for said in exam.significant if (text := plain_text(said)))
        return replace(
            self,
            exam=replace(
                exam,
                not_evaluable=plain_text(exam.not_evaluable),
                suspected_infection=plain_text(exam.suspected_infection),
                significant=significant,
            ),
        )

    def with_age(self, age_years: float | None) -> GuidelineContext:
        """The same with this age where none is stated."""
        if self.patient.age_years is not None:
            return self
        return replace(self, patient=replace(self.patient, age_years=age_years))

    @property
    def words(self) -> tuple[str, ...]:
        """The reader's free texts, which the suggestions for the examination quote."""
        exam = self.exam
        return tuple(text for text in (exam.not_evaluable, exam.suspected_infection, *exam.significant) if text)
