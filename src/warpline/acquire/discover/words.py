"""What names of files and folders say: their words, who is meant, and in what part."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import PurePath

SUFFIXES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".nhdr", ".hdr", ".img.gz", ".img")
POINTS = (".fcsv", ".mrk.json", ".csv", ".txt", ".pts")
WORD = re.compile(r"[^\W_]+(?:\.\d+)*")

LABELS = {
    *("seg", "segs", "segmentation", "segmentations", "label", "labels", "labelstr", "labelsts"),
    *("labelmap", "labelmaps", "dseg", "organs", "gt", "contours"),
}
MASKS = {"mask", "masks", "maskstr", "masksts", "lungmask", "lungmasks", "brainmask", "bodymask"}
LANDMARKS = {
    *("landmark", "landmarks", "landmarkstr", "points", "keypoints", "keypointstr", "fiducials"),
    "lm",
}
# Words that say only that something is an image.
IMAGES = {"image", "images", "imagestr", "imagests", "img", "scan", "scans", "volume", "volumes"}
# Words for the time of a scan, the earlier one first; the image that comes first is fixed.
TIMES = (
    *("fixed", "target", "reference", "moving", "source", "floating"),
    *("inhale", "inspiration", "insp", "inh", "exhale", "expiration", "exp", "exh"),
    *("baseline", "bl", "pre", "before", "followup", "fu", "post", "after"),
)
AS_NAMED = (2, 0)  # after them: scans whose names say no time, by their names
NUMBERED = re.compile(r"(?:t|tp|ses|v|visit|time|phase)0*(\d+)")


def suffix_of(name: str, known: tuple[str, ...] = SUFFIXES) -> str:
    """The known suffix of a file's name; empty if it has none."""
    return next((suffix for suffix in known if name.lower().endswith(suffix)), "")


def words(path: PurePath, suffix: str) -> list[str]:
    """The words of a relative path without its suffix, folders first, in small letters."""
    parts = [*path.parts[:-1], path.name[: len(path.name) - len(suffix)]]
    return [word.lower() for part in parts for word in WORD.findall(part)]


def as_id(text: str) -> str:
    """A name as part of file names: ASCII letters, digits, ``_``, ``.`` and ``-``."""
    for letter, plain in (("ß", "ss"), ("ø", "o"), ("æ", "ae"), ("ł", "l"), ("đ", "d")):
        text = text.replace(letter, plain).replace(letter.upper(), plain)
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", plain).strip("_.-")
    return plain or "case"


def unique(ids: Mapping[str, str]) -> dict[str, str]:
    """The ids, numbered where several would be the same but for capitals."""
    taken: set[str] = set()
    found = {}
    for name, wanted in ids.items():
        own, number = wanted, 2
        while own.lower() in taken or own == "atlas":
            own, number = f"{wanted}-{number}", number + 1
        taken.add(own.lower())
        found[name] = own
    return found


def time_of(word: str) -> tuple[int, int] | None:
    """Where a word puts a scan among its patient's; None for a word that is no time."""
    if word in TIMES:
        return 0, TIMES.index(word)
    numbered = NUMBERED.fullmatch(word)
    return (1, int(numbered[1])) if numbered else None
