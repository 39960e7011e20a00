"""Open3d, which is large and need not be there."""

import contextlib
import ctypes
from typing import Any

from fields.errors import MissingLibrary


def open3d_for(what: str) -> Any:
    """The module. Raises MissingLibrary, which says what needs it and why it is not there."""
    with contextlib.suppress(ImportError, OSError):
        # open3d is linked to a library that not every system has; its name, once loaded, serves.
        import libusb_package

        ctypes.CDLL(str(libusb_package.get_library_path()), mode=ctypes.RTLD_GLOBAL)
    try:
        import open3d
    except ModuleNotFoundError:
        raise MissingLibrary(f"{what} needs open3d; pip install 'fields-engine[shapes]'") from None
    except ImportError as error:  # a library of the system is missing
        reason = str(error).splitlines()[0]
        remedy = "; pip install libusb-package" if "libusb" in reason else ""
        raise MissingLibrary(
            f"{what} needs open3d, which does not load: {reason}{remedy}"
        ) from None
    return open3d
