"""Large vessels and central airways of the mean chest, by hand; the frame is that of `anatomy`."""

from __future__ import annotations

from dataclasses import dataclass

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Trunks:
    """A tree by hand: a node is a bifurcation (or an end), the way to it comes from its parent.

    Attributes
    ----------
    nodes
        For each id: parent, position, radius on the way and at the node. The root has no parent.
    roots
        For each lobe: the node from which the tree goes on in the lobe.
    """

    nodes: dict[str, tuple[str | None, Point, tuple[float, float]]]
    roots: dict[str, str]

    def capsules(self) -> list[tuple[tuple[Point, Point], tuple[float, float]]]:
        """Ends and radii of each way."""
        return [
            ((self.nodes[parent][1], point), radii)
            for parent, point, radii in self.nodes.values()
            if parent is not None
        ]


# Radii are the lumen's.
AIRWAYS = Trunks(
    {
        "trachea_0": (None, (0, -2, 150), (8.6, 8.6)),
        "trachea_1": ("trachea_0", (0, 5, 88), (8.6, 8.6)),
        "trachea_2": ("trachea_1", (0, 9, 66), (8.6, 8.6)),
        "trachea_3": ("trachea_2", (0, 13, 44), (8.6, 8.6)),
        "trachea_4": ("trachea_3", (0, 17, 22), (8.6, 8.6)),
        "carina": ("trachea_4", (0, 21, 0), (8.6, 8.2)),
        "airway_R": ("carina", (-19, 22, -16), (7.2, 6.8)),
        "airway_R_intermediate": ("airway_R", (-30, 20, -42), (5.8, 5.4)),
        "airway_L": ("carina", (37, 24, -27), (6.3, 5.8)),
        "airway_R_upper": ("airway_R", (-42, 17, -7), (4.7, 4.2)),
        "airway_R_middle": ("airway_R_intermediate", (-47, -5, -55), (3.7, 3.2)),
        "airway_R_lower": ("airway_R_intermediate", (-43, 34, -62), (4.8, 4.2)),
        "airway_L_upper": ("airway_L", (55, 7, -18), (4.8, 4.2)),
        "airway_L_lower": ("airway_L", (50, 37, -50), (4.7, 4.1)),
    },
    {lobe: f"airway_{lobe}" for lobe in ("R_upper", "R_middle", "R_lower", "L_upper", "L_lower")},
)

ARTERIES = Trunks(
    {
        "artery_outflow": (None, (13, -46, -34), (14.0, 14.0)),
        "artery_trunk": ("artery_outflow", (14, -16, -17), (13.5, 12.0)),
        "artery_R": ("artery_trunk", (-32, 2, -25), (10.5, 8.5)),
        "artery_R_intermediate": ("artery_R", (-43, 12, -42), (7.5, 6.5)),
        "artery_L": ("artery_trunk", (40, 9, -9), (10.5, 8.5)),
        "artery_R_upper": ("artery_R", (-49, 8, -10), (5.5, 4.6)),
        "artery_R_middle": ("artery_R_intermediate", (-55, -5, -50), (4.2, 3.6)),
        "artery_R_lower": ("artery_R_intermediate", (-52, 30, -60), (6.2, 5.0)),
        "artery_L_upper": ("artery_L", (57, -2, -7), (5.6, 4.6)),
        "artery_L_lower": ("artery_L", (58, 33, -46), (6.8, 5.0)),
    },
    {lobe: f"artery_{lobe}" for lobe in ("R_upper", "R_middle", "R_lower", "L_upper", "L_lower")},
)

VEINS = Trunks(
    {
        "vein_atrium": (None, (2, 14, -48), (9.0, 9.0)),
        "vein_R_superior": ("vein_atrium", (-32, 6, -42), (7.5, 6.5)),
        "vein_R_inferior": ("vein_atrium", (-27, 25, -58), (7.0, 6.5)),
        "vein_L_superior": ("vein_atrium", (36, 4, -38), (7.5, 6.5)),
        "vein_L_inferior": ("vein_atrium", (34, 28, -56), (7.0, 6.5)),
        "vein_R_upper": ("vein_R_superior", (-50, -12, -30), (5.0, 4.4)),
        "vein_R_middle": ("vein_R_superior", (-48, -18, -52), (4.0, 3.4)),
        "vein_R_lower": ("vein_R_inferior", (-43, 44, -74), (5.4, 4.8)),
        "vein_L_upper": ("vein_L_superior", (56, -14, -32), (5.2, 4.6)),
        "vein_L_lower": ("vein_L_inferior", (48, 46, -70), (5.4, 4.8)),
    },
    {lobe: f"vein_{lobe}" for lobe in ("R_upper", "R_middle", "R_lower", "L_upper", "L_lower")},
)

# Name, points, radii.
GREAT_VESSELS = (
    (
        "aorta",
        (
            (-2, -30, -40),
            (-14, -27, 0),
            (-9, -18, 27),
            (8, 0, 39),
            (22, 22, 34),
            (25, 35, 12),
            (23, 38, -30),
            (18, 38, -90),
            (8, 36, -140),
            (3, 34, -260),
        ),
        (15.5, 15.5, 14.5, 13.5, 12.5, 12.5, 12.0, 11.5, 11.0, 10.0),
    ),
    ("superior vena cava", ((-27, -20, 58), (-28, -17, 10), (-27, -13, -28)), (9.0, 9.5, 10.5)),
    (
        "inferior vena cava",
        ((-17, 2, -84), (-16, 14, -125), (-15, 26, -260)),
        (11.5, 12.0, 11.0),
    ),
    (
        "brachiocephalic vein",
        ((38, -18, 76), (18, -24, 62), (-8, -26, 56), (-27, -20, 58)),
        (6.0, 6.5, 6.5, 6.5),
    ),
    ("right jugular", ((-27, -20, 58), (-34, -8, 90), (-34, 0, 150)), (6.5, 6.0, 5.5)),
    ("left jugular", ((38, -18, 76), (36, -4, 100), (34, 0, 150)), (6.0, 5.5, 5.5)),
    ("brachiocephalic artery", ((-3, -9, 38), (-15, -2, 66), (-24, 4, 150)), (6.2, 6.0, 4.0)),
    ("left carotid", ((9, -2, 42), (14, 2, 70), (22, 4, 150)), (4.0, 3.8, 3.6)),
    (
        "left subclavian",
        ((19, 12, 40), (25, 14, 75), (50, 6, 100), (95, -10, 98)),
        (5, 4.8, 4, 3.6),
    ),
    ("azygos", ((-26, -4, 8), (-22, 22, 14), (-6, 40, 2), (-4, 41, -200)), (4.5, 4.5, 4.0, 3.5)),
)
