import pytest

from rhvae_mri import digests

MODULE = '''"""What it is."""
from rhvae_mri.pack import helper


def work(x):
    """Do it."""
    return helper.twice(x)  # a comment
'''
HELPER = """def twice(x):
    return 2 * x
"""


@pytest.fixture
def digest_of(tmp_path, monkeypatch):
    package = tmp_path / "rhvae_mri"
    (package / "pack").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "pack" / "__init__.py").touch()
    monkeypatch.setattr(digests, "_PACKAGE", package)

    def digest(module=MODULE, helper=HELPER):
        (package / "work.py").write_text(module)
        (package / "pack" / "helper.py").write_text(helper)
        digests._tree.cache_clear()
        return digests.module_digest("work")

    yield digest
    digests._tree.cache_clear()


@pytest.mark.parametrize(
    ("before", "after"),
    [("a comment", "another"), ("Do it", "Do it well"), ("What it is", "What"), ("\n\n\n", "\n\n\n\n")],
)
def test_comments_and_docstrings_do_not_count(digest_of, before, after):
    assert before in MODULE
    assert digest_of() == digest_of(MODULE.replace(before, after))


def test_code_counts_in_the_module_and_in_what_it_imports(digest_of):
    first = digest_of()
    assert digest_of(MODULE.replace("twice(x)", "twice(x) + 1")) != first
    assert digest_of(helper=HELPER.replace("2", "3")) != first


def test_an_unknown_module_is_an_error(digest_of):
    digest_of()
    with pytest.raises(FileNotFoundError, match="'absent'"):
        digests.module_digest("absent")
