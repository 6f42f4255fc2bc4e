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
    def stated(self) -> str:
        """What was stated, in words; empty for nothing."""
        patient, exam = self.patient, self.exam
        parts = ["screening CT"] if patient.screening else []
        parts += [] if patient.age_years is None else [f"{patient.age_years:g} years old"]
        answers = (("known cancer", patient.known_cancer), ("immunosuppressed", patient.immunosuppressed))
        parts += [f"{what}: {'yes' if answer else 'no'}" for what, answer in answers if answer is not None]
        parts += [] if patient.high_risk is None else [f"{'high' if patient.high_risk else 'low'} risk"]
        parts += ["prior examinations awaited"] if exam.awaiting_prior else []
        told = (("not evaluable", exam.not_evaluable), ("suspected infection", exam.suspected_infection))
        parts += [f"{what}: {text}" for what, text in told if text]
        return ", ".join([*parts, *(f"significant: {text}" for text in exam.significant)])

    @property
    def words(self) -> tuple[str, ...]:
        """The reader's free texts, which the suggestions for the examination quote."""
        exam = self.exam
        return tuple(text for text in (exam.not_evaluable, exam.suspected_infection, *exam.significant) if text)
