"""The findings as DICOM Comprehensive 3D SR by TID 1500: measurements that refer to the segments and source images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from . import growth_words, words
from .dicom_codes import (
    ABNORMAL_STRUCTURE,
    ABSENT,
    COMMENT,
    CT_OF_CHEST,
    LUNG,
    LUNG_NODULE,
    NODULE_TYPE,
    NODULE_TYPES,
    NODULES_ABOVE_THRESHOLD,
    RECOMMENDATION,
    REVIEW_STATUS,
    SIDES,
    ZONES,
    coded,
    private,
)
from .dicom_growth import SIZE_SINCE_PRIOR, changes_since_prior, size_since_prior
from .dicom_objects import (
    DEVICE_UID,
    MANUFACTURER,
    MODEL_NAME,
    SERIAL_NUMBER,
    algorithm_parameters,
    common_attributes,
    finish,
)
from .dicom_seg import SegmentationObject
from .model import Report, ReportFinding
from .quantities import PRIVATE_SCHEME, ConceptCode, measured_quantities
from .text import plain_text

if TYPE_CHECKING:
    from pydicom import Dataset

SERIES_NUMBER = 9002


def build_structured_report(
    report: Report, images: Sequence[Dataset], segmentations: Sequence[SegmentationObject]
) -> Dataset:
    """The document. It is 'partial' until readers have decided on all, and never 'verified': no software can attest it.

    :param images: of `source_images`, one per k.
    :param segmentations: of the same report and images.
    """
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from highdicom.sr import Comprehensive3DSR, MeasurementReport
    from pydicom.uid import generate_uid

    groups = [_group(finding, report, images, segmentations) for finding in report.findings]
    content = MeasurementReport(
        observation_context=_observers(report),
        procedure_reported=coded(CT_OF_CHEST),
        imaging_measurements=groups or [_nothing_found(report, images)],
    )
    content[0].ContentSequence.extend(_texts(report))
    document = Comprehensive3DSR(
        evidence=[*_referred(report, images), *(s.dataset for s in segmentations)],
        content=content[0],
        series_instance_uid=generate_uid(prefix=None),
        series_number=SERIES_NUMBER,
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=1,
        coding_schemes=[
            CodingSchemeIdentificationItem(PRIVATE_SCHEME, name="LungNoduleCAD", responsible_organization=MANUFACTURER)
        ],
        is_complete=report.review.state == "reviewed",
        **common_attributes(report, "Nodule report"),
    )
    return finish(document, report)


def _referred(report: Report, images: Sequence[Dataset]) -> list[Dataset]:
    """The source images that the content refers to; all when it says that nothing was found in them."""
    if not report.findings:
        return list(images)
    used = {f.slice_number - 1 for f in report.findings if f.mask is None}
    used |= {k for f in report.findings if f.mask is not None for k in range(len(images))[f.mask.region[0]]}
    return [images[k] for k in sorted(used)]


def _observers(report: Report) -> Any:
    from highdicom.sr import (
        DeviceObserverIdentifyingAttributes,
        ObservationContext,
        ObserverContext,
        PersonObserverIdentifyingAttributes,
    )
    from pydicom.sr.codedict import codes

    device = DeviceObserverIdentifyingAttributes(
        uid=DEVICE_UID,
        name=f"LungNoduleCAD {report.method.software_version}",
        manufacturer_name=MANUFACTURER,
        model_name=MODEL_NAME,
        serial_number=SERIAL_NUMBER,
    )
    person = None
    if report.review.readers:
        person = ObserverContext(
            codes.DCM.Person, PersonObserverIdentifyingAttributes(name=_person(report.review.readers[-1]))
        )
    return ObservationContext(
        observer_device_context=ObserverContext(codes.DCM.Device, device), observer_person_context=person
    )


def _person(name: str) -> str:
    """A reader's name as a DICOM person name of one part, in which some signs have a meaning."""
    return plain_text(name).translate(str.maketrans("\\=^", "/- "))[:63] + "^"


def _group(
    finding: ReportFinding, report: Report, images: Sequence[Dataset], segmentations: Sequence[SegmentationObject]
) -> Any:
    """A finding's measurement group: TID 1411 with its segment, TID 1501 for one that is only a point."""
    from highdicom.sr import (
        FindingSite,
        Measurement,
        MeasurementsAndQualitativeEvaluations,
        SourceImageForMeasurementGroup,
        TrackingIdentifier,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )

    side, zone = finding.measured.side, finding.measured.zone
    common = {
        "tracking_identifier": TrackingIdentifier(uid=finding.tracking_uid, identifier=finding.label),
        "finding_type": coded(LUNG_NODULE),
        "finding_category": coded(ABNORMAL_STRUCTURE),
        "algorithm_id": _algorithm(report),
        "finding_sites": [
            FindingSite(
                coded(ZONES[zone] if zone else LUNG), laterality=coded(SIDES[side]) if side is not None else None
            )
        ],
        "measurements": [
            Measurement(
                name=coded(quantity.concept),
                value=value,
                unit=coded(quantity.unit),
                derivation=None if quantity.derivation is None else coded(quantity.derivation),
            )
            for quantity, value in measured_quantities(finding)
        ]
        + [
            Measurement(name=coded(name), value=value, unit=coded(unit))
            for name, value, unit in changes_since_prior(finding)
        ],
        "qualitative_evaluations": list(_evaluations(finding)),
    }
    segmentation = next((s for s in segmentations if finding.label in s.segments), None)
    if segmentation is None:
        image = images[finding.slice_number - 1]
        group: Any = MeasurementsAndQualitativeEvaluations(
            source_images=[SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID)], **common
        )
    else:
        group = VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=_segment_reference(finding, segmentation, images), **common
        )
    group[0].ContentSequence.extend(_finding_texts(finding, report))
    return group


def _segment_reference(finding: ReportFinding, segmentation: SegmentationObject, images: Sequence[Dataset]) -> Any:
    from highdicom.sr import ReferencedSegment, SourceImageForSegmentation

    assert finding.mask is not None  # or it would be no segment
    slices = finding.mask.region[0]
    return ReferencedSegment(
        sop_class_uid=segmentation.dataset.SOPClassUID,
        sop_instance_uid=segmentation.dataset.SOPInstanceUID,
        segment_number=segmentation.segments[finding.label],
        source_images=[SourceImageForSegmentation(image.SOPClassUID, image.SOPInstanceUID) for image in images[slices]],
    )


def _algorithm(report: Report) -> Any:
    from highdicom.sr import AlgorithmIdentification

    parameters = [f"{name}: {value}" for name, value in algorithm_parameters(report).items()]
    version = report.method.software_version or "unknown"
    return AlgorithmIdentification(name=MANUFACTURER, version=version, parameters=parameters)


def _evaluations(finding: ReportFinding) -> Iterator[Any]:
    from highdicom.sr import QualitativeEvaluation

    yield QualitativeEvaluation(coded(NODULE_TYPE), coded(NODULE_TYPES[finding.density]))
    status = private(finding.status.upper(), words.STATUS_WORDS[finding.status])
    yield QualitativeEvaluation(coded(REVIEW_STATUS), coded(status))
    if (since := size_since_prior(finding)) is not None:
        yield QualitativeEvaluation(coded(SIZE_SINCE_PRIOR), coded(since))


def _nothing_found(report: Report, images: Sequence[Dataset]) -> Any:
    from highdicom.sr import (
        MeasurementsAndQualitativeEvaluations,
        QualitativeEvaluation,
        SourceImageForMeasurementGroup,
        TrackingIdentifier,
    )
    from pydicom.uid import generate_uid

    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=generate_uid(prefix=None), identifier="No finding"),
        algorithm_id=_algorithm(report),
        source_images=[SourceImageForMeasurementGroup(i.SOPClassUID, i.SOPInstanceUID) for i in images],
        qualitative_evaluations=[QualitativeEvaluation(coded(NODULES_ABOVE_THRESHOLD), coded(ABSENT))],
    )


def _finding_texts(finding: ReportFinding, report: Report) -> Iterator[Any]:
    yield _text(COMMENT, f"Slice {words.slice_text(finding, report)}. {words.status_text(finding)}.")
    for name, value in (("Reason", finding.reason), ("Comment", finding.comment)):
        if value:
            yield _text(COMMENT, f"{name}: {value}")
    for name, value in growth_words.growth_pairs(finding):
        yield _text(COMMENT, f"{name}: {value}")
    for advice in finding.recommendations:
        yield _text(RECOMMENDATION, _advice_text(advice))


def _texts(report: Report) -> Iterator[Any]:
    """What the template has no place of its own for; it may be extended."""
    yield _text(COMMENT, words.DISCLAIMER)
    yield _text(COMMENT, f"{words.headline(report)}. {words.summary(report)} {words.left_out(report)}".strip())
    yield _text(COMMENT, f"{words.review_text(report)}.")
    for line in growth_words.growth_lines(report):
        yield _text(COMMENT, line)
    for advice in report.recommendations:
        yield _text(RECOMMENDATION, _advice_text(advice))
    for warning in report.warnings:
        yield _text(COMMENT, f"Warning: {warning}")
    if report.notes:
        yield _text(COMMENT, f"Notes: {report.notes}")
    for finding in report.rejected:
        yield _text(COMMENT, f"{finding.label}, slice {finding.slice_number}, rejected: {finding.reason}")
    yield _text(COMMENT, f"Method: {'; '.join(f'{name}: {value}' for name, value in words.method_pairs(report))}")
    for row in words.audit_rows(report.audit):
        yield _text(COMMENT, f"Audit trail: {'; '.join(part for part in row if part)}")


def _advice_text(advice: Any) -> str:
    decision = f"{words.guideline_text(advice)}: {advice.final} ({words.decider(advice)})."
    return f"{decision} {advice.final_management} {advice.reason}"


def _text(name: ConceptCode, value: str) -> Any:
    from highdicom.sr import RelationshipTypeValues, TextContentItem

    return TextContentItem(coded(name), value, RelationshipTypeValues.CONTAINS)
