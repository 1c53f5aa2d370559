"""The CUDA kernels' module for a host that plays the device: the same bindings, arrays in the host's memory."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SHIM = ROOT / "tests" / "native" / "shim"
FLAGS = ("-std=c++20", "-O1", "-fPIC", "-fvisibility=hidden", "-fno-strict-aliasing", "-Wno-psabi", "-pthread")


def kernel_sources() -> list[Path]:
    """Those that run on the host; what is CUB's has a stand-in."""
    return [path for path in sorted((ROOT / "cuda" / "gpu").glob("*.cu")) if path.name != "sort.cu"]


@cache
def build() -> ModuleType:
    """Compile the module, or take it from an earlier run of the same sources; skips the test without a compiler."""
    nanobind = pytest.importorskip("nanobind")
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    library = Path(nanobind.__file__).parent
    headers = [*(ROOT / "cuda").rglob("*.h"), *SHIM.glob("*.h")]
    sources = [ROOT / "cuda" / "bindings_gpu.cpp", *kernel_sources(), SHIM / "host_sort.cpp"]
    digest = hashlib.sha256(f"{nanobind.__version__} {sys.version} {FLAGS}".encode())
    for path in sorted([*headers, *sources]):
        digest.update(path.read_bytes())
    kept = Path(tempfile.gettempdir()) / f"splatworld-host-device-{os.getuid()}"
    target = kept / digest.hexdigest()[:16] / f"_native_cuda{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not target.exists():
        _compile(target, library, sources)
    spec = importlib.util.spec_from_file_location("_native_cuda", target)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _compile(target: Path, library: Path, sources: list[Path]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    includes = [ROOT / "cuda", SHIM, library / "include", library / "ext" / "robin_map" / "include"]
    flags = [*FLAGS, "-DSPLATWORLD_HOST_SHIM", *(f"-I{path}" for path in includes)]
    flags.append(f"-I{sysconfig.get_paths()['include']}")
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        compiles, objects = [], []
        for source in [*sources, library / "src" / "nb_combined.cpp"]:
            objects.append(str(Path(folder) / f"{source.stem}.o"))
            compiles.append(subprocess.Popen(["g++", *flags, "-x", "c++", "-c", str(source), "-o", objects[-1]]))
        failed = [one.args for one in compiles if one.wait()]
        assert not failed, failed
        linked = Path(folder) / target.name
        subprocess.run(["g++", "-shared", "-pthread", *objects, "-o", str(linked)], check=True)
        linked.rename(target)  # whoever was faster: it is the same
