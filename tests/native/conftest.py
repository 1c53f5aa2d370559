import shutil
import subprocess

import pytest

from tests.native.host_device import ROOT, SHIM, kernel_sources

SANITIZERS = "-fsanitize=address,undefined,float-cast-overflow"


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """gpu_pipeline.cpp with all kernels, for a host that plays the device, under sanitizers."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    target = tmp_path_factory.mktemp("host") / "gpu_pipeline"
    kernels = [word for source in kernel_sources() for word in ("-x", "c++", str(source))]
    flags = [
        "-std=c++20",
        "-O1",
        "-g",
        "-Wall",
        "-Wextra",
        "-Wno-psabi",
        "-Werror",
        SANITIZERS,
        "-fno-sanitize-recover=all",
    ]
    subprocess.run(
        [
            "g++",
            *flags,
            "-DSPLATWORLD_HOST_SHIM",
            f"-I{ROOT / 'cuda'}",
            f"-I{SHIM}",
            *kernels,
            str(SHIM / "host_sort.cpp"),
            str(SHIM.parent / "gpu_pipeline.cpp"),
            "-pthread",
            "-o",
            target,
        ],
        check=True,
    )
    return target
