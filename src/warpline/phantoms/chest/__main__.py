"""``python -m warpline.phantoms.chest SHEET.png``: draw the sheet of pictures."""

from __future__ import annotations

import sys
from pathlib import Path

from warpline.figures.style import style
from warpline.files import atomic_path
from warpline.phantoms.chest.sheet import draw

DPI = 100  # the sheet is kept in the repository

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    with style(), atomic_path(target) as temporary:
        draw().savefig(temporary, dpi=DPI, metadata={"Software": None})
