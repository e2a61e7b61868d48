"""What a run says on the screen while it goes on, and what `make status` says of it."""

import json
import logging
import sys
from types import SimpleNamespace

import pytest

from rhvae_mri.io.files import write_text
from rhvae_mri.runtime import progress as module
from rhvae_mri.runtime.progress import STATE, Progress, describe_results, describe_status, show_progress


class Run:
    """A run of Snakemake as its handlers see it: two jobs at once, each of some seconds."""

    def __init__(self, monkeypatch, folder, jobs):
        self.now = 1000.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        self.jobs = [SimpleNamespace(rule=SimpleNamespace(name=rule)) for rule in jobs]
        self.done = set()
        dag = SimpleNamespace(
            jobs=self.jobs, needrun_jobs=lambda: self.jobs, finished=lambda job: id(job) in self.done
        )
        self.progress = Progress(
            SimpleNamespace(dag=dag, dryrun=False, output_settings=SimpleNamespace(verbose=False)), folder
        )

    def tell(self, event, **about):
        record = logging.makeLogRecord(
            {"levelno": logging.INFO, "event": SimpleNamespace(name=event), **about}
        )
        self.progress.handle(record)

    def begin(self, number):
        self.tell("JOB_INFO", jobid=number, rule_name=self.jobs[number].rule.name)

    def end(self, number, seconds):
        self.now += seconds
        self.done.add(id(self.jobs[number]))
        self.tell("JOB_FINISHED", job_id=number)
        self.tell("PROGRESS", done=len(self.done), total=len(self.jobs))


@pytest.fixture
def run(monkeypatch, tmp_path):
    return Run(monkeypatch, tmp_path, ["correct_bias"] * 6 + ["train_cnn"] * 2)


def test_a_line_says_how_far_the_run_is_what_it_does_and_how_long_it_takes(run, capsys):
    run.begin(0)
    assert capsys.readouterr().err == ""
    run.end(0, 60)
    run.begin(1)
    run.begin(2)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1  # at the third beginning no ten seconds have gone by
    # five images of a minute are left; of the networks nothing is known yet
    assert lines[0].endswith(" 1 of 8 jobs done (12 %); more than 5 min left; correct_bias")


def test_the_time_left_counts_what_runs_at_once_and_is_whole_when_all_kinds_of_jobs_are_known(run, capsys):
    run.begin(0)
    run.begin(6)
    run.end(0, 60)
    run.end(6, 0)
    run.begin(1)
    assert "; about 3 min left;" in capsys.readouterr().err


def test_the_status_of_a_run_is_in_a_file_while_it_goes_on_and_afterwards(run, tmp_path):
    assert describe_status(tmp_path) == f"No run has begun in {tmp_path}."
    run.begin(0)
    run.end(0, 5)
    run.begin(1)
    text = describe_status(tmp_path)
    assert "the run goes on, more than 1 min left; 1 of 8 jobs are done." in text
    assert "correct_bias                  6      1        1       0" in text
    assert "train_cnn" not in text
    for state, words in [("ended", "has ended;"), ("failed", "has ended with errors;")]:
        run.progress.write_state(state)
        assert words in describe_status(tmp_path)
    state = json.loads((tmp_path / STATE).read_text())
    (tmp_path / STATE).write_text(json.dumps(state | {"state": "running", "process": 2**30}))
    assert "was stopped, and the same command goes on from there;" in describe_status(tmp_path)


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (
            "Traceback:\n  ...\nrhvae_mri.io.errors.StudyError: The disk is full.\n  where: /\n",
            "StudyError: The disk is",
        ),
        ("ValueError: first\n\nTraceback:\nKeyboardInterrupt\n", "KeyboardInterrupt"),
        ("killed", "its log says no more"),
        (None, "its log says no more"),
    ],
)
def test_the_status_names_what_failed_and_why(run, tmp_path, log, reason):
    file = tmp_path / "job.log"
    if log is not None:
        file.write_text(log)
    run.begin(0)
    run.now += 1
    run.tell("JOB_ERROR", jobid=0, rule_name="correct_bias", log=[str(file)])
    text = describe_status(tmp_path)
    assert "correct_bias                  6      0        0       1" in text
    assert f"correct_bias failed: {reason}" in text.replace("rhvae_mri.io.errors.", "")
    assert str(file) in text


def test_the_screen_has_warnings_and_errors_but_nothing_of_single_jobs_and_nothing_after_a_stop(
    run, tmp_path, capsys
):
    logger = logging.Logger("snakemake", logging.INFO)
    screen = logging.StreamHandler(sys.stderr)
    screen.name = "DefaultStreamHandler"
    kept = []
    in_file = logging.Handler()
    in_file.emit = kept.append
    logger.addHandler(screen)
    logger.addHandler(in_file)
    show_progress(logger, run.progress)
    logger.info("Job stats: 8")
    logger.info("rule correct_bias", extra={"event": SimpleNamespace(name="SHELLCMD")})
    logger.info("Select jobs to execute...")
    logger.error("Error in rule correct_bias", extra={"event": SimpleNamespace(name="GROUP_ERROR")})
    assert capsys.readouterr().err == "Job stats: 8\nError in rule correct_bias\n"
    run.progress.stop()
    logger.error("At least one job did not complete")
    assert capsys.readouterr().err.strip() == "Stopped. The same command goes on from here."
    run.progress.write_state("failed")
    assert json.loads((tmp_path / STATE).read_text())["state"] == "stopped"
    assert len(kept) == 5


def test_the_end_leads_to_the_index_or_to_the_audit_or_to_the_folder(tmp_path):
    assert describe_results(str(tmp_path)) == f"Results are in {tmp_path}."
    write_text(tmp_path / "audit" / "cohort-ADNI" / "index.html", "")
    assert describe_results(str(tmp_path)) == f"Audit: open {tmp_path / 'audit/cohort-ADNI/index.html'}"
    write_text(tmp_path / "index.html", "")
    assert describe_results(str(tmp_path)).startswith(f"Results: open {tmp_path / 'index.html'}")


def test_a_run_with_nothing_to_do_says_where_the_results_are(run, tmp_path, capsys):
    run.progress.handle(
        logging.makeLogRecord({"msg": "Nothing to be done (all requested files are present)."})
    )
    assert capsys.readouterr().err == f"Results are in {tmp_path}.\n"


@pytest.mark.parametrize("name", ["dryrun", "verbose"])
def test_a_dry_run_and_one_that_is_asked_to_show_all(run, name):
    record = logging.makeLogRecord({"levelno": logging.INFO, "event": SimpleNamespace(name="JOB_INFO")})
    assert not run.progress.is_for_the_screen(record)
    workflow = run.progress._workflow
    setattr(workflow if name == "dryrun" else workflow.output_settings, name, True)
    assert run.progress.is_for_the_screen(record)
