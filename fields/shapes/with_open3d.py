"""Open3d, which is large and need not be there."""

from typing import Any

from fields.errors import MissingLibrary


def open3d_for(what: str) -> Any:
    """The module; a MissingLibrary that says what needs it, and why it is not there, in one line."""
    try:
        import open3d
    except ModuleNotFoundError:
        raise MissingLibrary(f"{what} needs open3d; pip install 'fields-engine[shapes]'") from None
    except ImportError as error:  # a library of the system is missing
        reason = str(error).splitlines()[0]
        remedy = "; apt-get install libusb-1.0-0" if "libusb" in reason else ""
        raise MissingLibrary(
            f"{what} needs open3d, which does not load: {reason}{remedy}"
        ) from None
    return open3d
