"""What a decoder's complaint means to the user: decoders speak of streams, objects and buffers."""

import re

_ENDS = re.compile(r"truncated|insufficient|not enough|end of (file|data|stream)|\beof\b", re.I)
_NOT_READ = re.compile(r"unsupported (?!operand)|not supported|not implemented", re.I)


def damage(error: Exception) -> str:
    """A clause that goes after the file's name, for what a decoder raised."""
    text = str(error)
    if _NOT_READ.search(text) or isinstance(error, NotImplementedError):
        return "is packed in a way that is not read, or damaged; save it again as PNG or TIFF"
    how = "it ends early" if _ENDS.search(text) else "what it holds cannot be decoded"
    return f"is damaged: {how}; copy or download it again"
