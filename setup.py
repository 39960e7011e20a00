"""Builds the extensions; everything that is not a compiler flag stands in pyproject.toml.

fields._C            schemas of all ops
fields._cpu_base     CPU kernels for any x86-64 (or any other machine)
fields._cpu_avx2     the same sources for AVX2 + FMA
fields._cpu_avx512   the same sources for AVX-512
fields._cpu_avx512_bf16  the same with bf16 products
fields._cuda         CUDA kernels, where torch has CUDA and nvcc is found

None of them is a Python module: torch.ops.load_library loads them, and fields/extension.py chooses
which. They use LibTorch's stable ABI alone, so one build serves torch 2.11 and every later one.

Environment: FIELDS_CUDA=0 leaves the CUDA kernels out, 1 insists on them; TORCH_CUDA_ARCH_LIST
names other GPUs than sm_80 and sm_90; MAX_JOBS is the number of compilers that run at once.
"""

import os
import platform
import re
import subprocess
from contextlib import contextmanager
from glob import glob
from pathlib import Path

import torch
from setuptools import Extension, find_packages, setup
from torch.utils import cpp_extension

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

CXX_FLAGS = [
    "-O3",
    "-std=c++17",
    "-g0",
    "-fvisibility=hidden",
    "-DTORCH_TARGET_VERSION=0x020b000000000000",
]
AVX512_FLAGS = [
    *("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl"),
    *("-mfma", "-mf16c", "-mprefer-vector-width=512"),
]
X86_FLAGS = {
    "base": ["-msse2"],
    "avx2": ["-mavx2", "-mfma", "-mf16c"],
    "avx512": AVX512_FLAGS,
    "avx512_bf16": [*AVX512_FLAGS, "-mavx512bf16"],
}
CUDA_FLAGS = ["-O3", "-std=c++17", "-DUSE_CUDA", "-DTORCH_TARGET_VERSION=0x020b000000000000"]
CUDA_ARCHITECTURES = [
    "-gencode=arch=compute_80,code=sm_80",
    "-gencode=arch=compute_90,code=sm_90",
    "-gencode=arch=compute_90,code=compute_90",  # PTX, for every later GPU
]


def extension(name, sources, flags, device="cpu", library_dirs=(), libraries=()):
    """One shared library; `flags` as torch's build takes them: a list, or one list a compiler."""
    return Extension(
        f"fields.{name}",
        sources=sorted(sources),
        depends=sorted(glob("csrc/**/*.h", recursive=True) + glob("csrc/**/*.cuh", recursive=True)),
        include_dirs=[os.path.abspath("csrc"), *cpp_extension.include_paths(device)],
        library_dirs=[*cpp_extension.library_paths(device), *library_dirs],
        libraries=["torch_cpu", *libraries],
        extra_compile_args=flags,
        py_limited_api=True,
        language="c++",
    )


def cpu_extensions():
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    variants = X86_FLAGS if is_x86 else {"base": []}
    sources = glob("csrc/cpu/*.cpp")
    return [
        extension(f"_cpu_{name}", sources, CXX_FLAGS + flags) for name, flags in variants.items()
    ]


def cuda_extensions():
    wanted = os.environ.get("FIELDS_CUDA", "")
    if wanted not in ("", "0", "1"):
        raise SystemExit(f"FIELDS_CUDA must be 0 or 1, got {wanted!r}")
    missing = None
    if torch.version.cuda is None:
        missing = f"torch {torch.__version__} is built without CUDA; install a CUDA build of torch"
    elif cpp_extension.CUDA_HOME is None:
        missing = "nvcc is not found; install the CUDA toolkit or set CUDA_HOME"
    if wanted == "1" and missing:
        raise SystemExit(f"FIELDS_CUDA=1, but {missing}")
    sources = glob("csrc/cuda/*.cu")
    if wanted == "0" or missing or not sources:
        return []
    # Without an architecture here torch would ask the GPUs that it can see; there may be none.
    named = os.environ.get("TORCH_CUDA_ARCH_LIST")
    flags = {"cxx": CXX_FLAGS, "nvcc": CUDA_FLAGS + ([] if named else CUDA_ARCHITECTURES)}
    # The static runtime, since torch's wheels bring their own libcudart, often of another version.
    libraries = ["torch_cuda", "cudart_static", "rt", "dl", "pthread"]
    nvcc = os.path.join(str(cpp_extension.CUDA_HOME), "bin", "nvcc")
    return [extension("_cuda", sources, flags, "cuda", nvcc_library_dirs(nvcc), libraries)]


def nvcc_library_dirs(nvcc):
    """Where nvcc itself looks for its runtime: it is not CUDA_HOME/lib64 everywhere."""
    command = [nvcc, "--dryrun", "-x", "cu", os.devnull]
    plan = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return re.findall(r'"-L([^"]+)"', plan.partition("LIBRARIES=")[2].partition("\n")[0])


@contextmanager
def one_at_a_time(folder):
    """Two builds in one folder would write the same objects: the second waits for the first."""
    if fcntl is None:
        yield
        return
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Build(cpp_extension.BuildExtension):
    """torch's build, with ninja: it knows the headers, so only what has changed is compiled."""

    def finalize_options(self):
        super().finalize_options()
        # A fixed place: an editable install would otherwise compile into a new folder each time.
        self.build_temp = os.path.join("build", "objects")
        os.environ.setdefault("MAX_JOBS", str(os.cpu_count() or 1))

    def build_extensions(self):
        # torch refuses an nvcc of another major version than its own. The stable ABI and the static
        # runtime make that safe here.
        cpp_extension._check_cuda_version = lambda *_: None
        with one_at_a_time(self.build_temp):
            super().build_extensions()

    def build_extension(self, ext):
        # The same sources are compiled several times: each library has objects of its own.
        objects, self.build_temp = self.build_temp, os.path.join(self.build_temp, ext.name)
        try:
            super().build_extension(ext)
        finally:
            self.build_temp = objects


def packages():
    """Names and folders; scenes/ and viewer/ take names that claim nothing at the top level."""
    folders = {name: name.replace(".", "/") for name in find_packages(include=["fields*"])}
    for folder in ("scenes", "viewer"):
        if Path(folder, "__init__.py").exists():
            names = ["", *(f".{name}" for name in find_packages(folder))]
            folders |= {f"fields_{folder}{name}": folder + name.replace(".", "/") for name in names}
    return folders


setup(
    packages=list(packages()),
    package_dir=packages(),
    ext_modules=[
        extension("_C", ["csrc/schemas.cpp"], CXX_FLAGS),
        *cpu_extensions(),
        *cuda_extensions(),
    ],
    cmdclass={"build_ext": Build},
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
