"""The audit page in a browser: what its script does."""

import json
import re

import pytest
from headless_browser import Browser, find_chromium
from made_up_audit import CONFIRMED, EXCLUDED, N_KEPT, PLANTED

from rhvae_mri.cohort.bids_tables import read_rows
from rhvae_mri.cohort.decisions import COLUMNS, read_decisions
from rhvae_mri.io.files import write_text
from rhvae_mri.quality.definitions import METRICS

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="there is no `chromium` on the PATH")

CARDS = "[...document.querySelectorAll('.card')]"


@pytest.fixture
def browser(audit):
    with Browser() as opened:
        load(opened, audit)
        yield opened
        assert opened.messages == []
        assert opened.failures == []
        assert [address for address in opened.requests if not address.startswith(("file://", "blob:"))] == []


def load(browser, folder):
    browser.open(folder / "index.html")
    browser.wait_for("document.documentElement.dataset.ready")


def n_new(browser):
    words = browser.evaluate("document.getElementById('decisions-count').textContent")
    return int(re.search(r"(\d+) (?:is|are) new", words)[1])


def downloaded(browser, folder):
    """Wait for the exported list."""
    target = folder / "exclude.tsv"
    for _ in range(200):
        if target.is_file():
            break
        browser.evaluate("new Promise((done) => setTimeout(done, 20))")
    return target


def choose(browser, control, value, event="input"):
    browser.evaluate(
        f"(() => {{ const e = document.getElementById('{control}'); e.value = {json.dumps(value)};"
        f"e.dispatchEvent(new Event('{event}', {{bubbles: true}})); }})()"
    )


def click(browser, control):
    browser.evaluate(f"document.getElementById('{control}').click()")


def shown_ids(browser):
    return browser.evaluate(f"{CARDS}.map((card) => card.querySelector('.name').textContent)")


def test_the_sheet_shows_fifty_images_and_their_pictures_load(browser, cohort, data):
    ids = shown_ids(browser)
    assert ids == [data["images"]["image_id"][image] for image in data["order"][:50]]
    browser.evaluate("document.querySelector('.next-page').click()")
    assert len(shown_ids(browser)) == N_KEPT - 50
    browser.evaluate("document.querySelectorAll('img').forEach((image) => { image.loading = 'eager'; })")
    browser.wait_for("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")


def test_planted_markup_stays_text(browser):
    assert browser.evaluate("document.title") == "Audit of ADNI"
    assert PLANTED in browser.evaluate("document.querySelector('.card .flags').textContent")
    browser.evaluate("document.querySelectorAll('[data-event]').forEach((each) => { each.open = true; })")
    browser.wait_for("document.querySelectorAll('.ids button').length >= 8")
    choose(browser, "status", "not converted")
    browser.evaluate(f"{CARDS}.find((card) => card.textContent.includes('onerror')).click()")
    assert PLANTED in browser.evaluate("document.querySelector('#facts .why').textContent")
    assert browser.evaluate("document.title") == "Audit of ADNI"
    assert (
        browser.evaluate(
            "[...document.images].filter((image) => image.alt === '' && !image.closest('.cuts')).length"
        )
        == 0
    )


def test_filters_and_sorting_choose_images(browser, data):
    choose(browser, "search", "ADNI007")
    assert shown_ids(browser) == ["sub-ADNI007_ses-M000"]
    choose(browser, "search", "")
    choose(browser, "diagnosis", "=CN")
    choose(browser, "site", "=1")
    assert len(shown_ids(browser)) == N_KEPT / 4
    choose(browser, "site", "")
    choose(browser, "diagnosis", "")
    choose(browser, "status", "fault")
    assert shown_ids(browser) == ["sub-ADNI000_ses-M000"]
    choose(browser, "status", "kept")
    choose(browser, "sort", "-own_metric")
    choose(browser, "lowest", "10")
    choose(browser, "highest", "12")
    assert shown_ids(browser) == [f"sub-ADNI0{number}_ses-M000" for number in (12, 11, 10)]
    browser.evaluate("document.querySelector('button[type=reset]').click()")
    browser.wait_for(f"{CARDS}.length === 50")
    click(browser, "flagged")
    assert shown_ids(browser) == ["sub-ADNI001_ses-M000"]
    choose(browser, "search", "nothing has this name")
    assert browser.evaluate("document.getElementById('found').textContent").startswith("No image fits")


def test_one_image_is_shown_and_swapped_with_the_template(browser):
    choose(browser, "search", "ADNI007")
    browser.evaluate("document.querySelector('.card').click()")
    opacity = "document.querySelector('#detail img.template').style.opacity"
    browser.wait_for(f"{opacity} === '0'")
    browser.press("t", "t")
    assert browser.evaluate(opacity) == "1"
    browser.press("t", "t")
    browser.hover("#flicker-frame")
    browser.wait_for(f"{opacity} === '1'")
    assert browser.evaluate("document.querySelectorAll('#facts tbody tr').length") == len(METRICS) + 1
    facts = browser.evaluate("document.getElementById('facts').textContent")
    assert "RandomSeed (this image)7" in facts
    assert "rawn/a5e" in facts  # a file without a path, and its checksum
    assert browser.evaluate("document.getElementById('detail-badge').textContent") == "passed"


def test_decisions_are_kept_and_exported_as_a_list_that_the_study_reads(browser, audit, cohort, tmp_path):
    browser.save_downloads(tmp_path)
    choose(browser, "sort", "image")
    browser.evaluate(f"{CARDS}[5].click()")
    browser.press("x", "x")
    choose(browser, "reason", 'a\ttab, "quoted"', "change")
    browser.press("ArrowRight")
    browser.press("k", "k")
    assert browser.evaluate("document.getElementById('detail-title').textContent") == cohort.ids[6]
    click(browser, "close")
    browser.evaluate(f"{CARDS}[{EXCLUDED}].click()")
    browser.press("u", "u")  # takes the decision of the study back
    click(browser, "close")

    click(browser, "export")
    assert "your name" in browser.evaluate("document.getElementById('message').textContent")
    choose(browser, "rater", "C. Rater", "change")
    click(browser, "export")
    entries = read_decisions(downloaded(browser, tmp_path), "ADNI").entries
    names = {number: (f"sub-ADNI{number:03d}", "ses-M000") for number in (CONFIRMED, 5, 6)}
    assert entries.keys() == set(names.values())
    assert entries[names[5]].decision == "exclude"
    assert entries[names[5]].reason == "a tab, 'quoted'"
    assert entries[names[6]].decision == "keep"
    assert entries[names[6]].who == "C. Rater"
    assert (entries[names[CONFIRMED]].who, entries[names[CONFIRMED]].date) == ("A. Rater", "2026-02-01")

    load(browser, audit)
    assert n_new(browser) == 3


def test_notes_on_an_earlier_list_do_not_act_on_a_later_one(browser, cohort, audit, tmp_path):
    browser.save_downloads(tmp_path)
    choose(browser, "search", "ADNI005")
    browser.evaluate(f"{CARDS}[0].click()")
    browser.press("x", "x")
    assert n_new(browser) == 1
    choose(browser, "rater", "C. Rater")
    click(browser, "export")
    exported = downloaded(browser, tmp_path)
    text = exported.read_text(encoding="utf-8")

    # the study ran with the exported list
    later = cohort.draw(tmp_path / "later", decisions=read_rows(exported, COLUMNS))
    load(browser, later)
    assert n_new(browser) == 0

    # it was edited by hand, and the image left the study
    write_text(exported, text.replace("sub-ADNI005\tses-M000\texclude", "sub-ADNI005\tses-M000\treplace"))
    images = cohort.images.copy()
    images.loc[5, ["status", "reason"]] = ["excluded", "replaced by hand: ghosts (C. Rater, 2026-02-03)"]
    edited = cohort.draw(
        tmp_path / "edited",
        images=images,
        quality=cohort.quality.drop(index=5),
        metrics=cohort.metrics.drop(index=5),
        decisions=read_rows(exported, COLUMNS),
    )
    exported.unlink()
    load(browser, edited)
    assert n_new(browser) == 0
    click(browser, "export")
    entries = read_decisions(downloaded(browser, tmp_path), "ADNI").entries
    assert entries["sub-ADNI005", "ses-M000"].decision == "replace"


def test_notes_that_change_nothing_are_dropped(browser, audit, cohort, data):
    ids = data["images"]["image_id"]
    notes = {
        ids[EXCLUDED]: {"decision": "exclude", "reason": " ghosts "},
        ids[N_KEPT]: {"decision": "exclude", "reason": "it was never preprocessed"},
        ids[5]: {"decision": "", "reason": "a reason alone"},
        ids[6]: {"decision": "keep", "reason": ""},
    }
    stored = json.dumps(json.dumps({"rater": "C. Rater", "decisions": notes}))
    browser.evaluate(f"localStorage.setItem({json.dumps(data['storageKey'])}, {stored})")
    load(browser, audit)
    assert n_new(browser) == 1


def test_a_reason_without_a_decision_is_none_and_waits_for_one(browser, tmp_path):
    browser.save_downloads(tmp_path)
    choose(browser, "search", "ADNI005")
    browser.evaluate(f"{CARDS}[0].click()")
    choose(browser, "reason", "ghosts", "change")
    assert n_new(browser) == 0
    browser.press("x", "x")
    assert n_new(browser) == 1
    choose(browser, "rater", "C. Rater")
    click(browser, "export")
    entries = read_decisions(downloaded(browser, tmp_path), "ADNI").entries
    assert entries["sub-ADNI005", "ses-M000"].reason == "ghosts"


def test_a_change_splits_a_decision_on_all_sessions(cohort, tmp_path):
    signed = ("A. Rater", "2026-01-31")
    given = [
        ("ADNI", "sub-ADNI005", "", "exclude", "ghosts", *signed),
        ("ADNI", "sub-ADNI900", "ses-M000", "replace", "broken", *signed),
        ("AIBL", "sub-AIBL1", "ses-M000", "keep", "fine", *signed),
    ]
    decisions = [dict(zip(COLUMNS, row, strict=True)) for row in given]
    folder = cohort.draw(tmp_path / "audit", decisions=decisions)
    with Browser() as browser:
        browser.save_downloads(tmp_path)
        load(browser, folder)
        choose(browser, "rater", "C. Rater")
        choose(browser, "search", "ADNI005")
        browser.evaluate("document.querySelector('.card').click()")
        assert browser.evaluate("document.querySelector('[name=decision]:checked').value") == "exclude"
        browser.press("k", "k")
        click(browser, "close")
        click(browser, "export")
        exported = downloaded(browser, tmp_path)
        assert browser.messages == []
    found = read_decisions(exported, "ADNI").entries
    assert found["sub-ADNI005", "ses-M000"].decision == "keep"
    assert found.keys() == {("sub-ADNI005", "ses-M000"), ("sub-ADNI900", "ses-M000")}
    assert read_decisions(exported, "AIBL").entries.keys() == {("sub-AIBL1", "ses-M000")}


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(browser, width):
    browser.resize(width, 900)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    browser.evaluate("document.querySelector('.card').click()")
    assert browser.evaluate(
        "document.getElementById('detail').scrollWidth <= document.getElementById('detail').clientWidth"
    )
