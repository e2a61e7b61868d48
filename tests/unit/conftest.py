"""The made-up cohort and its audit page, which the tests of the page and of its script share."""

import pytest
from made_up_audit import MadeUpAudit, embedded


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return MadeUpAudit(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def audit(cohort, tmp_path_factory):
    return cohort.draw(tmp_path_factory.mktemp("audit") / "cohort-ADNI")


@pytest.fixture(scope="module")
def data(audit):
    return embedded((audit / "index.html").read_text(encoding="utf-8"))
