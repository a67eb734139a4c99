"""Names and numbers of what is drawn: the common organs, and what some datasets label besides."""

from __future__ import annotations

from warpline.cases.organs import NUMBER as NUMBER
from warpline.cases.organs import ORGANS as ORGANS

# Values of the second map, which lie beside or within the organs.
DUODENUM, HEPATIC_VESSEL, LIVER_TUMOUR, PANCREAS_TUMOUR, KIDNEY_TUMOUR, COLON_TUMOUR = range(1, 7)
TUMOURS = {
    "liver": LIVER_TUMOUR,
    "pancreas": PANCREAS_TUMOUR,
    "kidney": KIDNEY_TUMOUR,
    "colon": COLON_TUMOUR,
}
