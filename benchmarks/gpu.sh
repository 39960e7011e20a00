#!/usr/bin/env bash
# Everything that docs/gpu.md says, on a machine with a GPU: build, tests, memory checks, figures.
#
#   benchmarks/gpu.sh            with `python3`, which must have torch with CUDA; needs no network
#   PYTHON=... benchmarks/gpu.sh
#
# Ends with a line `passing: <device>, <date>, torch <version>` if, and only if, all of it passed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
PYTHON=${PYTHON:-python3}
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1 FIELDS_CUDA=1
export MAX_JOBS=${MAX_JOBS:-$(nproc)}
failed=()

part() {  # part <name> <command...>
  local name=$1
  shift
  echo "== $name: $*"
  SECONDS=0
  "$@" || failed+=("$name")
  echo "== $name took $SECONDS s"
}

sanitize() {  # sanitize <tool>: reads past the caching allocator's blocks are seen only without it
  PYTORCH_NO_CUDA_MEMORY_CACHING=1 compute-sanitizer --tool "$1" --error-exitcode 1 \
    "$PYTHON" benchmarks/gpu_every_kernel.py
}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
nvcc --version | tail -n 2 | head -n 1
"$PYTHON" -c 'import sys, torch; print("Python", sys.version.split()[0], "torch", torch.__version__)'

part build "$PYTHON" setup.py --quiet build_ext --inplace
part tests "$PYTHON" -m pytest -q -p no:cacheprovider tests/test_cuda*.py
part memcheck sanitize memcheck
part racecheck sanitize racecheck
part benchmark "$PYTHON" benchmarks/gpu_benchmark.py

if [ ${#failed[@]} -gt 0 ]; then
  echo "failed: ${failed[*]}"
  exit 1
fi
"$PYTHON" -c 'import datetime, torch
name, today = torch.cuda.get_device_name(), datetime.date.today()
print(f"passing: {name}, {today}, torch {torch.__version__}")'
