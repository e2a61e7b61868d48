"""An edit of the code runs again what it concerns."""

import shutil

import pytest

TARGET = "results/template/template.nii.gz"


@pytest.fixture(scope="module")
def edit(run_snakemake, load_config, root, tmp_path_factory):
    """Run a rule of a copy of the workflow; then say whether a text at the end of a file runs it again."""
    folder = tmp_path_factory.mktemp("copy")
    for part in ("workflow", "resources", "envs"):
        shutil.copytree(root / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))

    def run(*arguments):
        snakefile = folder / "workflow" / "Snakefile"
        result = run_snakemake(folder, load_config(), *arguments, "--", TARGET, snakefile=snakefile)
        assert result.returncode == 0, result.stdout
        return result.stdout

    run()

    def needs_run(file, text):
        path = folder / "workflow" / file
        before = path.read_text()
        path.write_text(before + text)
        output = run("--dry-run")
        path.write_text(before)
        return "rule prepare_template:" in output

    return needs_run


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("scripts/prepare_template.py", "# a comment\n", False),
        ("scripts/prepare_template.py", "EDITED = True\n", True),
        ("rhvae_mri/preprocess/template.py", "EDITED = True\n", True),
        ("rhvae_mri/preprocess/template.py", "# a comment\n", False),
        ("rhvae_mri/runtime/logs.py", "EDITED = True\n", False),
        ("rhvae_mri/cnn/training.py", "EDITED = True\n", False),
    ],
)
def test_code_behind_a_rule_runs_it_again_and_a_comment_or_other_code_does_not(edit, file, text, expected):
    assert edit(file, text) == expected
