import dataclasses
import re

import numpy
import pytest

from rhvae_mri.io.errors import StudyError
from rhvae_mri.simulate.acquisition import head_size
from rhvae_mri.simulate.deformation import deform, structure_volumes
from rhvae_mri.simulate.participants import GROUPS, anatomy_at, draw_cohort

FAULTS = ("truncated_series", "wrong_field_of_view", "motion_noise")
COUNTS = {"AD": 30, "CN": 32, "MCI": 6, "converters": 4, "without_image": 2} | dict.fromkeys(FAULTS, 2)


@pytest.fixture(scope="module")
def adni():
    return draw_cohort("ADNI", COUNTS, 4.0, seed=3)


@pytest.fixture(scope="module")
def large():
    return draw_cohort("ADNI", {"AD": 400, "CN": 400, "MCI": 100}, 4.0, seed=8)


def part(cohort, name):
    """The participants of one part of a cohort that was drawn with COUNTS."""
    start = sum(COUNTS[group] for group in GROUPS[: GROUPS.index(name)])
    return cohort[start : start + COUNTS[name]]


def diagnoses(person):
    return [visit.diagnosis for visit in person.visits]


def scans(person):
    return [scan for _, scan in person.scans()]


def test_each_part_has_its_size_and_its_diagnoses(adni):
    assert len(adni) == sum(COUNTS.values())
    for name in ("AD", "CN", "MCI"):
        assert all(set(diagnoses(person)) == {name} for person in part(adni, name))
    assert [diagnoses(person) for person in part(adni, "converters")[:2]] == [["CN", "MCI"], ["MCI", "AD"]]
    for name in ("without_image", *FAULTS):
        assert {person.visits[0].diagnosis for person in part(adni, name)} == {"AD", "CN"}


def test_faults_are_where_they_are_asked_for(adni):
    for name in FAULTS:
        for person in part(adni, name):
            assert [scan.fault for scan in scans(person)] == [name]
            assert scans(person)[0].usable
            assert person.visits[0].scans
    good = [*part(adni, "AD"), *part(adni, "CN"), *part(adni, "MCI"), *part(adni, "converters")]
    assert {scan.fault for person in good for scan in scans(person)} == {"none"}
    assert all(scan.on_disk for person in good for scan in scans(person))
    assert all(any(scan.usable for scan in person.visits[0].scans) for person in good)
    for person in part(adni, "without_image"):
        assert scans(person)
        assert not any(scan.on_disk for scan in scans(person))


def test_identifiers_are_those_of_adni_and_unique(large):
    subjects = [person.subject for person in large]
    assert all(re.fullmatch(r"\d{3}_S_\d{4}", subject) for subject in subjects)
    assert len({subject[-4:] for subject in subjects}) == len(large)
    for person in large:
        assert int(person.subject[:3]) == person.site
        assert person.participant_id == "sub-ADNI" + person.subject.replace("_", "")
    for name in ("image_uid", "series_id", "seed"):
        values = [getattr(scan, name) for person in large for scan in scans(person)]
        assert len(set(values)) == len(values)


def test_phases_sites_and_field_strengths_are_varied(large):
    phases = [person.phase for person in large]
    assert set(phases) == {"ADNI1", "ADNIGO", "ADNI2", "ADNI3"}
    assert len({person.site for person in large}) >= 10
    by_phase = {}
    for person in large:
        by_phase.setdefault(person.phase, set()).update(scan.field_strength for scan in scans(person))
    assert by_phase["ADNI1"] == {1.5, 3.0}
    assert by_phase["ADNI2"] == by_phase["ADNI3"] == {3.0}
    years = {phase: [p.visits[0].date.year for p in large if p.phase == phase] for phase in by_phase}
    assert 2005 <= min(years["ADNI1"]) <= max(years["ADNI1"]) <= 2007
    assert 2017 <= min(years["ADNI3"]) <= max(years["ADNI3"]) <= 2021


def test_voxels_are_those_of_the_site(large):
    sizes = {}
    for person in large:
        for scan in scans(person):
            assert scan.voxel_size[0] == pytest.approx(4.8)
            assert 4.0 <= scan.voxel_size[1] == scan.voxel_size[2] <= 5.0
            sizes.setdefault((person.site, scan.field_strength), set()).add(scan.voxel_size)
    assert all(len(values) == 1 for values in sizes.values())
    assert len(set.union(*sizes.values())) > 1


def test_scores_and_dates_are_plausible(large):
    limits = {"CN": (27, 30, {0.0}), "MCI": (24, 29, {0.5}), "AD": (18, 26, {0.5, 1.0})}
    for person in large:
        assert 55 <= person.age <= 90
        assert 6 <= person.education_years <= 20
        for visit in person.visits:
            low, high, ratings = limits[visit.diagnosis]
            assert low <= visit.mmse <= high
            assert visit.cdr in ratings
            assert visit.date.weekday() < 5
        for visit in person.visits[1:]:
            days = (visit.date - person.visits[0].date).days
            assert days == pytest.approx(visit.month * 30.44, abs=60)
    carriers = {
        name: numpy.mean([p.apoe4_alleles > 0 for p in large if p.visits[0].diagnosis == name])
        for name in ("AD", "CN")
    }
    assert carriers["AD"] > carriers["CN"] + 0.2


def test_age_and_sex_are_balanced_between_the_classes(large):
    ages = {name: [p.age for p in large if p.visits[0].diagnosis == name] for name in ("AD", "CN")}
    men = [numpy.mean([p.sex == "M" for p in large if p.visits[0].diagnosis == n]) for n in ("AD", "CN")]
    assert 0 <= numpy.mean(ages["AD"]) - numpy.mean(ages["CN"]) < 2.5
    assert abs(men[0] - men[1]) < 0.08


def test_follow_up_visits_and_repeated_scans_occur_at_their_rates(large):
    later = numpy.array([[len(p.visits) > 1, len(p.visits) > 1 and bool(p.visits[1].scans)] for p in large])
    assert later.mean(axis=0) == pytest.approx([0.45, 0.15], abs=0.05)
    repeated = [p for p in large if any(not scan.usable for scan in p.visits[0].scans)]
    assert 0.12 < len(repeated) / len(large) < 0.28
    for person in repeated:
        first, second = person.visits[0].scans[:2]
        assert (first.usable, second.usable) == (False, True)
        assert "REPEAT" in second.sequence
    assert any(len(p.visits[0].scans) > 1 and p not in repeated for p in large)


def test_aibl_has_two_sites_and_no_rejected_scans():
    cohort = draw_cohort("AIBL", COUNTS, 4.0, seed=3)
    assert {person.site for person in cohort} == {2, 3}
    assert all(person.subject.isdecimal() and not person.subject.startswith("0") for person in cohort)
    assert len({person.subject for person in cohort}) == len(cohort)
    assert all(person.participant_id == f"sub-AIBL{person.subject}" for person in cohort)
    assert all(scan.usable for person in cohort for scan in scans(person))
    assert {visit.month for person in cohort for visit in person.visits} == {0, 18}
    assert {scan.field_strength for person in cohort for scan in scans(person)} == {1.5, 3.0}


def test_a_larger_part_leaves_all_others_as_they_were(adni):
    more = draw_cohort("ADNI", {**COUNTS, "AD": 33, "MCI": 9}, 4.0, seed=3)
    known = {person.subject: person for person in more}
    assert all(known[person.subject] == person for person in adni)
    other = draw_cohort("ADNI", COUNTS, 4.0, seed=4)
    assert not {person.subject for person in adni} >= {person.subject for person in other}


def test_more_participants_than_roster_numbers_are_refused():
    with pytest.raises(StudyError, match="cannot have 5000") as caught:
        draw_cohort("ADNI", {"CN": 5000}, 4.0, seed=1)
    assert "at most 412" in caught.value.remedy


def test_atrophy_goes_on_faster_in_disease(large):
    changes = {}
    for name in ("CN", "AD"):
        person = next(p for p in large if p.visits[0].diagnosis == name and len(p.visits) > 1)
        assert anatomy_at(person, person.visits[0]) == person.anatomy
        mild = dataclasses.replace(person.anatomy, ventricle_scale=1.5, hippocampus_scale=0.8)
        later = anatomy_at(dataclasses.replace(person, anatomy=mild), person.visits[1])
        assert later.head_seed == person.anatomy.head_seed
        changes[name] = later.ventricle_scale / 1.5, later.hippocampus_scale / 0.8
    assert 1 < changes["CN"][0] < changes["AD"][0] < 1.2
    assert 1 > changes["CN"][1] > changes["AD"][1] > 0.85


def test_ventricles_grow_with_age(large):
    healthy = [p for p in large if p.visits[0].diagnosis == "CN"]
    slope = numpy.polyfit(
        [p.age for p in healthy], [numpy.log(p.anatomy.ventricle_scale) for p in healthy], 1
    )[0]
    assert 0.01 < slope < 0.03


def test_the_classes_overlap_as_real_ones_do(large):
    """Logistic regression on the true volumes of 800 participants: balanced accuracy of 80 to 90 %.

    The volumes are those that follow from the scales and the size of the head, times the spread that the
    random part of the deformations adds; that spread is measured on a sample of true volumes.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    people = [person for person in large if person.visits[0].diagnosis != "MCI"]
    average = structure_volumes(deform(0, random_part=0))
    size = numpy.array([numpy.linalg.det(head_size(p.anatomy.head_seed, p.sex)) for p in people])
    scales = numpy.array([[p.anatomy.ventricle_scale, p.anatomy.hippocampus_scale] for p in people])
    sample = slice(0, None, 40)
    true = numpy.array(
        [
            structure_volumes(deform(p.anatomy.head_seed, *own))
            for p, own in zip(people[sample], scales[sample], strict=True)
        ]
    )
    spread = numpy.log(true / (scales[sample] * average))
    assert numpy.abs(spread.mean(axis=0)).max() < 0.08
    assert (spread.std(axis=0) < 0.15).all()
    noise = numpy.random.default_rng(0).normal(0, spread.std(axis=0), scales.shape)
    volumes = scales * average * size[:, None] * numpy.exp(noise)
    disease = numpy.array([p.visits[0].diagnosis == "AD" for p in people])
    model = make_pipeline(StandardScaler(), LogisticRegression())
    predicted = cross_val_predict(model, volumes, disease, cv=20)
    assert 0.80 < balanced_accuracy_score(disease, predicted) < 0.90


def test_an_aibl_cohort_may_have_thousands_and_the_first_stay_who_they_are():
    small = draw_cohort("AIBL", {"CN": 30}, 4.0, 1)
    large = draw_cohort("AIBL", {"CN": 1000}, 4.0, 1)
    assert large[:30] == small
    assert len({person.subject for person in large}) == 1000
    assert len({scan.image_uid for person in large for scan in scans(person)}) >= 1000
