"""Names and numbers of what is drawn: the common organs, and what some datasets label besides."""

from __future__ import annotations

# In Learn2Reg's order.
ORGANS = (
    "spleen",
    "right_kidney",
    "left_kidney",
    "gallbladder",
    "esophagus",
    "liver",
    "stomach",
    "aorta",
    "inferior_vena_cava",
    "portal_vein",
    "pancreas",
    "right_adrenal",
    "left_adrenal",
)
NUMBER = {name: number for number, name in enumerate(ORGANS, start=1)}

# Values of the second map, which lie beside or within the organs.
DUODENUM, HEPATIC_VESSEL, LIVER_TUMOUR, PANCREAS_TUMOUR, KIDNEY_TUMOUR, COLON_TUMOUR = range(1, 7)
TUMOURS = {
    "liver": LIVER_TUMOUR,
    "pancreas": PANCREAS_TUMOUR,
    "kidney": KIDNEY_TUMOUR,
    "colon": COLON_TUMOUR,
}
