"""The type of a file by how it begins. What a sender says of it counts for nothing.

JPEG, PNG and WebP of every phone, HEIC of iPhones, MP4, QuickTime and 3GPP of cameras, M4A of voice memos, PDF of
documents. The boxes of the ISO base media files (ISO/IEC 14496-12) say by their brand which of them they are.
"""

HEAD_BYTES = 16
"""So many bytes tell the type."""
BRANDS = {
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"mif1": "image/heif",
    b"msf1": "image/heif",
    b"M4A ": "audio/mp4",
    b"qt  ": "video/quicktime",
    b"isom": "video/mp4",
    b"iso2": "video/mp4",
    b"iso4": "video/mp4",
    b"iso5": "video/mp4",
    b"iso6": "video/mp4",
    b"mp41": "video/mp4",
    b"mp42": "video/mp4",
    b"avc1": "video/mp4",
    b"M4V ": "video/mp4",
    b"MSNV": "video/mp4",
}
"""Major brands of `ftyp` boxes; those of 3GPP begin with `3g`."""
ENDINGS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/heic": "heic",
    "image/heif": "heif",
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/3gpp": "3gp",
    "audio/mp4": "m4a",
    "application/pdf": "pdf",
}
"""The types that are kept, and how the names of such files end."""


def media_type(head: bytes) -> str:
    """The type of a file that begins so; empty: none that is kept."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith(b"%PDF-"):
        return "application/pdf"
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return "video/3gpp" if brand.startswith(b"3g") else BRANDS.get(brand, "")
    return ""
