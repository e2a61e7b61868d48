"""What a job computes with: processor, threads, instructions and libraries; one record for all equal jobs.

The same code gives other numbers on another processor, with more threads, or with another library. Nothing
here names a person, a computer or a folder. It takes milliseconds: only libraries that the job has imported
are asked, and of ``/proc/cpuinfo`` one processor is read.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import platform
import re
import secrets
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path
from typing import Any

#: Below the folder of results.
MACHINES = "provenance/machines"

#: What a job's log says at its end; the group is the name of the record in `MACHINES`.
LOG_LINE = re.compile(r"Computed on the machine ([0-9a-f]{16})\b")

#: What ``/proc/cpuinfo`` says of a processor, of x86 and of ARM, that numbers can depend on.
_OF_PROCESSOR = (
    *("model name", "vendor_id", "cpu family", "model", "stepping", "flags"),
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "Features"),
)

#: The variables that set numbers of threads, or forbid instructions.
_VARIABLES = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"),
    *("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS"),
    *("MKL_CBWR", "OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES"),
)

#: The packages that compute, by the module that a job imports.
_PACKAGES = {
    **{name: name for name in ("numpy", "scipy", "pandas", "nibabel", "torch", "statsmodels")},
    **{"ants.lib": "antspyx", "sklearn": "scikit_learn"},
}


def record_machine(log: str | os.PathLike[str]) -> str | None:
    """Write what this job computes with into the results that its log is in; give the name of the record.

    It is the digest of the record. None where the log is in no folder ``logs``, which the results have.
    """
    logs = next((folder for folder in Path(log).parents if folder.name == "logs"), None)
    if logs is None:
        return None
    text = json.dumps(describe_computation(), indent=2, sort_keys=True) + "\n"
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    target = logs.parent / MACHINES / f"{name}.json"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        # not `atomic_path`, which takes what another job writes at this moment for the rest of a killed one
        temporary = target.with_name(f".{secrets.token_hex(4)}.{target.name}")
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, target)
    return name


def describe_computation() -> dict[str, Any]:
    """Describe what the numbers of this process depend on beside its code and data."""
    wanted = {package for module, package in _PACKAGES.items() if module in sys.modules}
    # the names of the folders have the versions: to import what reads them takes longer than all the rest
    folders = [path.stem.partition("-") for path in Path(sysconfig.get_path("platlib")).glob("*.dist-info")]
    described: dict[str, Any] = {
        "processor": read_processor(),
        "architecture": platform.machine(),
        "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "libraries": {name.lower(): version for name, _, version in folders if name.lower() in wanted},
        "python": platform.python_version(),
    }
    with suppress(AttributeError, ValueError):  # another C library than GNU's
        described["libc"] = os.confstr("CS_GNU_LIBC_VERSION")
    torch = sys.modules.get("torch")
    return described if torch is None else described | {"torch": _describe_torch(torch)}


def read_processor() -> dict[str, str]:
    """Read what the system says of the first processor; where there is no ``/proc``, of its model alone."""
    with suppress(OSError), open("/proc/cpuinfo", "rb", buffering=0) as file:
        first = file.read(16384).decode(errors="replace").partition("\n\n")[0]
        values = dict(re.findall(r"^([^:\n]+?)[ \t]*: *(.*)$", first, re.MULTILINE))
        if known := {name: values[name] for name in _OF_PROCESSOR if name in values}:
            return known
    return {"model name": platform.processor() or "unknown"}


def _describe_torch(torch: Any) -> dict[str, Any]:
    """Describe threads, instructions, build and, where one is in use, the GPU of torch."""
    build = re.sub(r"(?<![\w.])/[^\s,;]*/", "", torch.__config__.show())  # compilers have paths
    described = {
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "build": " ".join(build.split()),
    }
    # What MKL takes the processor for, by which it chooses instructions: the fifth word of its structure
    # MKLVersion. oneDNN has no such call; it goes by the processor's flags and the variables alone.
    with suppress(AttributeError, OSError):  # a build without MKL, or another system
        words = (ctypes.c_char_p * 6)()
        ctypes.CDLL(f"{Path(torch.__file__).parent}/lib/libtorch_cpu.so").mkl_serv_get_version(words)
        described["mkl"] = (words[4] or b"").decode()
    if torch.cuda.is_initialized():
        described["gpu"] = torch.cuda.get_device_name()
        described["cuda"], described["cudnn"] = torch.version.cuda, torch.backends.cudnn.version()
    return described
