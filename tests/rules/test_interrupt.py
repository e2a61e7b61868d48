"""Ctrl-C at a terminal: one sentence, nothing that still runs, and a run that goes on from there."""

import os
import pty
import select
import signal
import time

import psutil
import pytest

from rhvae_mri.runtime.progress import describe_status

SENTENCE = "^C Stopped. The same command goes on from here."


def test_an_interrupted_run_says_one_sentence_and_leaves_no_process(tmp_path, load_config, snakemake_command):
    command = snakemake_command(tmp_path, load_config(), "results/bids/cohort-ADNI")
    try:
        process, terminal = pty.fork()
    except OSError as error:
        pytest.skip(f"this machine gives no terminal: {error}")
    if process == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # which a shell's background jobs are started without
        os.execve(command[0], command, os.environ | {"PYTHONPATH": ""})
    begun = tmp_path / "results/logs/simulate_adni.log"
    output, interrupted = b"", None
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                output += os.read(terminal, 65536)
            except OSError:  # the terminal is closed
                break
        if interrupted is None and begun.is_file():
            children = psutil.Process(process).children(recursive=True)
            interrupted = len(output)
            os.write(terminal, b"\x03")
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) != 0
    assert output[interrupted:].decode().split() == SENTENCE.split()
    assert children
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    assert "was stopped" in describe_status(tmp_path / "results")
