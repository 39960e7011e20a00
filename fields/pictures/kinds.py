"""What kind of file this is, from its first bytes; and for kinds not read, what to do instead."""

import re

from fields.pictures.picture import Unknown, Unreadable

PREFIX_BYTES = 4096
"""How much of a file's beginning tells its kind."""

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"\x76\x2f\x31\x01", "exr"),
    (b"#?RADIANCE", "hdr"),
    (b"#?RGBE", "hdr"),
)

_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)  # sizes of the header that follows byte 14

_TO_PNG = "convert it to PNG"
_RAW = "a camera raw file, which is not read; develop it to a 16-bit TIFF or PNG first"

_FOREIGN = (
    (b"%PDF", f"a PDF, which is not read; {_TO_PNG}, e.g. with `pdftoppm -png -r 200`"),
    (b"8BPS", "a Photoshop document, which is not read; export it as PNG or TIFF"),
    (b"8BPB", "a Photoshop document, which is not read; export it as PNG or TIFF"),
    (b"gimp xcf", "a GIMP document, which is not read; export it as PNG or TIFF"),
    (b"FUJIFILMCCD-RAW", _RAW),
    (b"IIRO", _RAW),
    (b"IIRS", _RAW),
    (b"MMOR", _RAW),
    (b"IIU\0", _RAW),
    (b"FOVb", _RAW),
    (b"\0\0\0\x0cjP  ", f"a JPEG 2000 picture, which is not read; {_TO_PNG}"),
    (b"\xff\x4f\xff\x51", f"a JPEG 2000 picture, which is not read; {_TO_PNG}"),
    (b"\0\0\0\x0cJXL ", f"a JPEG XL picture, which is not read; {_TO_PNG} with `djxl`"),
    (b"\xff\x0a", f"a JPEG XL picture, which is not read; {_TO_PNG} with `djxl`"),
    (b"II\xbc", f"a JPEG XR picture, which is not read; {_TO_PNG}"),
    (b"qoif", f"a QOI picture, which is not read; {_TO_PNG}"),
    (b"DDS ", f"a DDS texture, which is not read; {_TO_PNG}"),
    (b"\xabKTX", f"a KTX texture, which is not read; {_TO_PNG}"),
    (b"\0\0\1\0", f"an icon, which is not read; {_TO_PNG}"),
    (b"\x93NUMPY", "a NumPy array, not a picture; save it as PNG, TIFF or EXR"),
    (b"PK\3\4", "a zip archive; unpack it and name a picture"),
    (b"\x1f\x8b", "a gzip archive; unpack it and name a picture"),
    (b"\x1a\x45\xdf\xa3", "a video; save one frame as PNG"),
    (b"glTF", "a mesh, not a picture"),
    (b"ply\n", "a mesh, not a picture"),
    (b"ply\r", "a mesh, not a picture"),
)

_HEIC = f"a HEIC picture, which is not read; {_TO_PNG}, e.g. with `heif-convert IN OUT.png`"
_AVIF = f"an AVIF picture, which is not read; {_TO_PNG}, e.g. with `avifdec IN OUT.png`"

_BRANDS = {  # of an ISO base media file, at byte 8
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"), _HEIC),
    **dict.fromkeys((b"avif", b"avis"), _AVIF),
    b"crx ": _RAW,
}

READ_FORMATS = "PNG, JPEG, WebP, TIFF, BMP, GIF, EXR and Radiance HDR"


def kind(prefix: bytes) -> str:
    """The format of a file that starts with `prefix` (its first `PREFIX_BYTES`, or all of it).

    Returns png, jpeg, webp, tiff, bmp, gif, exr or hdr.
    Raises Unreadable, with a remedy, for every other kind.
    """
    if not prefix:
        raise Unreadable("is empty (0 bytes); copy or download it again")
    if prefix.startswith(b"RIFF"):
        if prefix[8:12] == b"WEBP":
            return "webp"
        if prefix[8:12] == b"AVI ":
            raise Unreadable("is a video; save one frame as PNG")
    if prefix[:2] == b"BM" and int.from_bytes(prefix[14:18], "little") in _BMP_HEADERS:
        return "bmp"
    if prefix[4:8] == b"ftyp":
        raise Unreadable(_iso_media(prefix))
    if prefix[:4] in (b"II*\0", b"MM\0*") and prefix[8:10] == b"CR":
        raise Unreadable(f"is {_RAW}")
    for start, name in _SIGNATURES:
        if prefix.startswith(start):
            return name
    for start, line in _FOREIGN:
        if prefix.startswith(start):
            raise Unreadable(f"is {line}")
    raise _text_or_unknown(prefix)


def _iso_media(prefix: bytes) -> str:
    brand = prefix[8:12]
    if brand in _BRANDS:
        return f"is {_BRANDS[brand]}"
    return "is a video; save one frame as PNG"


def _text_or_unknown(prefix: bytes) -> Unreadable:
    if re.match(rb"P[1-7]\s", prefix) or re.match(rb"P[Ff]\s", prefix):
        return Unreadable(
            f"is a PNM or PFM picture, which is not read; {_TO_PNG}, or to EXR if it holds floats"
        )
    start = prefix.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in start[:2048]:
        return Unreadable(
            f"is an SVG drawing, which is not read; {_TO_PNG}, e.g. with `rsvg-convert -o OUT.png`"
        )
    if start.startswith((b"<!doctype html", b"<html")):
        return Unreadable("is a web page, not a picture; download the picture itself")
    if _is_text(prefix):
        return Unknown(f"is text, not a picture; {READ_FORMATS} are read")
    return Unknown(f"is no picture that is known here; {READ_FORMATS} are read")


def _is_text(prefix: bytes) -> bool:
    try:
        text = prefix.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(prefix) - 3:  # else the cut fell inside a character
            return False
        text = prefix[: error.start].decode("utf-8")
    return all(c.isprintable() or c in "\t\r\n\f\b\x1b" for c in text)
