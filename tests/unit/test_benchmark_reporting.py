import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def reporting():
    spec = importlib.util.spec_from_file_location("reporting", BENCHMARKS / "reporting.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["reporting"] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["reporting"]


@pytest.mark.parametrize(
    ("value", "sense", "holds"),
    [
        (1.0, ">=", True),
        (0.9, ">=", False),
        (1.0, "<=", True),
        (1.1, "<=", False),
        (float("nan"), ">=", False),
    ],
)
def test_a_bar_holds_on_its_side_of_the_bound(reporting, value, sense, holds):
    assert reporting.Bar("figure", value, 1.0, sense).holds is holds


def test_the_last_line_is_json_and_a_broken_bar_gives_status_1(reporting, capsys):
    bars = [reporting.Bar("fast", 2.0, 3.0, "<="), reporting.Bar("good", 0.5, 0.9, ">=")]
    assert reporting.finish({"seconds": 2.0}, bars, as_json=True) == 1
    content = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert content["figures"] == {"seconds": 2.0}
    assert [bar["holds"] for bar in content["bars"]] == [True, False]
    assert {"name", "value", "bound", "holds"} <= set(content["bars"][0])
    assert reporting.finish({}, bars[:1], as_json=False) == 0


def test_the_cost_of_a_step_is_its_own(reporting, tmp_path):
    """Memory of this process must not count for the step, though the step is forked from it."""
    held = bytearray(300_000_000)
    held[::4096] = b"x" * len(held[::4096])
    script = tmp_path / "step.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "from reporting import run_step\n"
        "def work():\n"
        "    block = bytearray(100_000_000)\n"
        "    block[::4096] = b'x' * len(block[::4096])\n"
        "sys.exit(run_step(work))\n"
    )
    cost = reporting.measure(script, [], threads=1)
    assert 100 < cost.memory_mb < 250
    assert 0 < cost.call_s < cost.wall_s
    assert cost.cpu_s > 0


def test_a_failing_step_is_an_error_with_its_last_words(reporting, tmp_path):
    script = tmp_path / "step.py"
    script.write_text("raise SystemExit('the scanner is on fire')")
    with pytest.raises(reporting.StudyError, match="failed with status 1") as error:
        reporting.measure(script, ["n4"], threads=1)
    assert "the scanner is on fire" in error.value.cause


@pytest.mark.parametrize("name", ["preprocessing.py", "throughput.py"])
def test_without_the_real_heads_a_benchmark_says_so_and_ends_with_2(name, tmp_path):
    command = [sys.executable, str(BENCHMARKS / name), "--json", "--heads", str(tmp_path / "none")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert "--heads" in result.stderr
    assert "Traceback" not in result.stderr
