"""Reading leaves a process as it was: its streams, warnings and limits."""

import io
import struct
import subprocess
import sys

import numpy as np
from PIL import Image

from fields.pictures import read_picture


def test_warnings_and_logs_of_libraries_stay_inside(tmp_path, capfd, recwarn):
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(buffer, "tiff")
    data = bytearray(buffer.getvalue())
    (directory,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[directory : directory + 2])
    data[directory + 2 + 12 * count :][:4] = b"\xff\xff\xff\x7f"  # the next page lies nowhere
    (tmp_path / "p.tif").write_bytes(data)
    read_picture(tmp_path / "p.tif")
    assert capfd.readouterr() == ("", "") and len(recwarn) == 0


def test_threads_that_read_leave_the_streams_and_limits_as_they_were(tmp_path):
    code = (
        "import sys\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from PIL import Image\n"
        "from fields.pictures import read_picture\n"
        "limit = Image.MAX_IMAGE_PIXELS\n"
        "with ThreadPoolExecutor(4) as pool: list(pool.map(read_picture, ['coins'] * 40))\n"
        "assert limit == Image.MAX_IMAGE_PIXELS\n"
        "print('out'); print('err', file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_a_process_without_stderr_reads_too():
    code = "import os; os.close(2)\nfrom fields.pictures import read_picture; read_picture('coins')"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
