"""Airways, arteries and veins as trees whose topology every subject shares.

In each lobe a tree fills the volume: a branch heads for the centre of the points it has to serve,
and the points are halved, again and again (after Tawhai et al. 2004, "CT-based geometry analysis
and finite element models of the human and ovine bronchial tree"). It is grown once, in the mean
chest, from a fixed seed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from warpline.phantoms.anatomy.chest import anatomy
from warpline.phantoms.anatomy.chest.trunks import AIRWAYS, ARTERIES, VEINS, Trunks

BASE_SEED = 20190
VESSEL_DEPTH, AIRWAY_DEPTH = 8, 6  # generations below the lobar branch
SHRINK = 0.79  # a branch's radius over its parent's
# How far towards the middle of what it serves a branch goes, by generation below the lobar one.
REACH = (0.5, 0.5, 0.55, 0.6, 0.7, 0.8, 0.95, 1.1)
# A variant subject misses some branches, of this generation below the lobar one and beyond.
FIRST_VARIANT = 5
# About these points, mm, the large airways and vessels of a subject lie elsewhere than the lungs
# say: upper and lower windpipe, its bifurcation, the right and left bronchi, the artery's trunk.
CENTRES = ((0, 5, 85), (0, 13, 44), (0, 21, 0), (-30, 20, -30), (40, 22, -27), (10, -16, -17))
CENTRE_WIDTH = 28.0  # mm: standard deviation of the bell about each


@dataclass(frozen=True)
class Tree:
    """A tree as nodes; the branch to a node comes from its parent.

    Attributes
    ----------
    kind
        ``airway``, ``artery`` or ``vein``.
    ids
        One per node; a landmark at a bifurcation has the id of its node.
    position
        (n, 3) mm in the mean chest.
    radius
        (n, 2) mm, of the lumen at the start and the end of the branch.
    parent
        (n,), −1 for the root; parents come before children.
    generation
        (n,), branches from the root.
    depth
        (n,), generations below the lobar branch; 0 for that and all before it.
    """

    kind: str
    ids: tuple[str, ...]
    position: np.ndarray
    radius: np.ndarray
    parent: np.ndarray
    generation: np.ndarray
    depth: np.ndarray

    def bifurcations(self) -> np.ndarray:
        """Indices of the nodes with at least two children."""
        children = np.bincount(self.parent[self.parent >= 0], minlength=len(self.ids))
        return np.flatnonzero(children >= 2)

    def keep(self, where: np.ndarray) -> Tree:
        """The tree of some of the nodes; with a node its ancestors must be kept."""
        number = np.cumsum(where) - 1
        parent = self.parent[where]
        return Tree(
            self.kind,
            tuple(name for name, kept in zip(self.ids, where, strict=True) if kept),
            self.position[where],
            self.radius[where],
            np.where(parent >= 0, number[parent], -1),
            self.generation[where],
            self.depth[where],
        )

    def variant(self, rng: np.random.Generator, variation: float) -> Tree:
        """This tree in one subject: nodes a little elsewhere, some peripheral branches missing."""
        n = len(self.ids)
        length = np.linalg.norm(self.position - self.position[self.parent], axis=1)
        shift = np.clip(rng.standard_normal((n, 3)), -2, 2) * (0.05 * variation * length[:, None])
        position = self.position + shift * (self.depth > 0)[:, None]
        missing = rng.random(n) < 0.04 * min(variation, 2.0)
        missing &= self.depth >= FIRST_VARIANT
        for node in range(n):
            missing[node] |= self.parent[node] >= 0 and missing[self.parent[node]]
        moved = Tree(
            self.kind, self.ids, position, self.radius, self.parent, self.generation, self.depth
        )
        return moved.keep(~missing)

    def shifted(self, lift: np.ndarray) -> Tree:
        """This tree moved by `lift` (6, 3), mm, at the points `CENTRES`, and less about them."""
        offset = self.position[:, None] - np.array(CENTRES, dtype=np.float64)
        weight = np.exp(-0.5 * (offset**2).sum(axis=-1) / CENTRE_WIDTH**2)
        return replace(self, position=self.position + weight @ lift)


@lru_cache(maxsize=1)
def mean_trees() -> dict[str, Tree]:
    """The trees of the mean chest by kind."""
    served, room = _points_to_serve()
    bronchi = _grow("airway", AIRWAYS, served, room, turned=False)
    return {
        "airway": bronchi.keep(bronchi.depth <= AIRWAY_DEPTH),
        "artery": _beside(bronchi, ARTERIES),
        "vein": _grow("vein", VEINS, served, room, turned=True),
    }


@dataclass(frozen=True)
class _Room:
    """Where a branch may go: not through the heart, to serve what lies behind it."""

    free: np.ndarray  # (x, y, z) bool
    corner: np.ndarray
    spacing: float

    def holds(self, start: np.ndarray, way: np.ndarray) -> bool:
        """Whether the further half of a straight branch stays in the lungs."""
        points = start + np.array([0.5, 0.75, 1.0])[:, None] * way
        index = np.rint((points - self.corner) / self.spacing).astype(int)
        index = np.clip(index, 0, np.array(self.free.shape) - 1)
        return bool(self.free[tuple(index.T)].all())


def _points_to_serve(spacing: float = 5.0) -> tuple[dict[str, np.ndarray], _Room]:
    """For each lobe, points (n, 3) spread over it; and the room that there is for branches."""
    corner, far = np.array([-150.0, -110.0, -195.0]), np.array([150.0, 115.0, 105.0])
    axes = [np.arange(a, b, spacing) for a, b in zip(corner, far, strict=True)]
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    points = nodes.reshape(-1, 3).copy()
    rng = np.random.default_rng(BASE_SEED)
    points += rng.uniform(-spacing / 3, spacing / 3, points.shape)
    cavity = anatomy.InCavity.of(tuple(points.T))
    inside = np.flatnonzero(cavity.distance < 0)
    distance = anatomy.lung_distance(tuple(points[inside].T), cavity[inside])
    free = np.zeros(len(points), dtype=bool)
    free[inside[distance < -1.5]] = True
    points = points[inside[distance < -2.5]]
    lobe = anatomy.lobes(tuple(points.T))
    served = {name: points[lobe == label] for label, name in anatomy.LOBES.items()}
    return served, _Room(free.reshape(nodes.shape[:3]), corner, spacing)


def _trunk_nodes(trunks: Trunks) -> tuple[list, dict[str, int]]:
    """Rows (id, position, radii, parent, generation, depth) of the nodes by hand."""
    rows, number = [], {}
    for name, (parent, point, radii) in trunks.nodes.items():
        up = number[parent] if parent else -1
        # The trachea is one generation, whatever points it has.
        trachea = name.startswith("trachea") or name == "carina"
        generation = 0 if parent is None or trachea else rows[up][4] + 1
        number[name] = len(rows)
        rows.append((name, np.array(point, dtype=np.float64), radii, up, generation, 0))
    return rows, number


def _tree(kind: str, rows: list) -> Tree:
    ids, position, radius, parent, generation, depth = zip(*rows, strict=True)
    return Tree(
        kind,
        tuple(ids),
        np.array(position),
        np.array(radius, dtype=np.float64),
        np.array(parent),
        np.array(generation),
        np.array(depth),
    )


def _grow(
    kind: str, trunks: Trunks, served: dict[str, np.ndarray], room: _Room, turned: bool
) -> Tree:
    """The nodes by hand and a volume-filling tree below each lobe's root.

    `turned` changes the plane that halves a lobe's points, so that veins run between the arteries.
    """
    rows, number = _trunk_nodes(trunks)
    for lobe, root in trunks.roots.items():
        start = number[root]
        first = rows[rows[start][3]][1]
        pending = [(start, served[lobe], rows[start][1] - first, 0)]
        while pending:
            node, points, heading, depth = pending.pop()
            if depth == VESSEL_DEPTH or len(points) < 4:
                continue
            position, (_, radius) = rows[node][1], rows[node][2]
            heading = heading / np.linalg.norm(heading)
            for part, half in enumerate(_halves(points, heading, turned and depth == 0)):
                way = half.mean(axis=0) - position
                # Short of the middle of what is served at first, up to it at the end.
                way = _turned(way * REACH[depth], heading)
                if not room.holds(position, way):
                    way = _round_the_corner(position, half, room, way)
                name = rows[node][0] + ("_" if depth == 0 else "") + str(part + 1)
                end = radius * SHRINK
                row = (name, position + way, (radius * 0.9, end), node)
                rows.append((*row, rows[node][4] + 1, depth + 1))
                pending.append((len(rows) - 1, half, way, depth + 1))
    return _tree(kind, rows)


def _halves(points: np.ndarray, heading: np.ndarray, turned: bool) -> list[np.ndarray]:
    """The points on either side of a plane through the branch, across their widest extent."""
    offset = points - points.mean(axis=0)
    offset = offset - np.outer(offset @ heading, heading) * 0.75
    _, axes = np.linalg.eigh(offset.T @ offset)
    normal = axes[:, 1 if turned else 2]
    # A sign of its own, so that the halves' order does not hang on the eigenvector's.
    normal = normal * np.sign(normal @ np.array([0.31, 0.52, 0.79]))
    along = offset @ normal
    upper = along >= np.median(along)
    return [points[upper], points[~upper]]


def _round_the_corner(
    position: np.ndarray, points: np.ndarray, room: _Room, way: np.ndarray
) -> np.ndarray:
    """A way to the points, when the straight one to their middle leaves the lung."""
    distance = np.linalg.norm(points - position, axis=1)
    for part in (0.5, 0.25, 0.1, 0.03):
        near = points[distance <= np.quantile(distance, part)]
        # An actual point: the middle of a bent cloud need not lie in it.
        middle = near[np.argmin(np.linalg.norm(near - near.mean(axis=0), axis=1))]
        for reach in (0.8, 0.5):
            if room.holds(position, reach * (middle - position)):
                return reach * (middle - position)
    return 0.3 * way


def _turned(way: np.ndarray, heading: np.ndarray, most: float = 1.2) -> np.ndarray:
    """The way, at an angle of at most `most` rad to the heading."""
    length = np.linalg.norm(way)
    along = way @ heading
    across = way - along * heading
    width = np.linalg.norm(across)
    if np.arctan2(width, along) <= most or width < 1e-9:
        return way
    return length * (np.cos(most) * heading + np.sin(most) * across / width)


def _beside(bronchi: Tree, trunks: Trunks) -> Tree:
    """The arteries: their own trunks, then beside the bronchi, somewhat wider than them."""
    rows, number = _trunk_nodes(trunks)
    place = {}
    for node, name in enumerate(bronchi.ids):
        arterial = name.replace("airway", "artery")
        if bronchi.depth[node] == 0:
            if arterial in number:
                place[node] = number[arterial]
            continue
        up = place[bronchi.parent[node]]
        radius = rows[up][2][1]
        end = max(radius * 0.8, 0.45)
        lumen = bronchi.radius[node, 1]
        side = 1.0 if "_L_" in name else -1.0
        beside = np.array([0.75 * side, -0.2, 0.63]) * (lumen * 1.25 + 0.4 + end)
        place[node] = len(rows)
        rows.append(
            (
                arterial,
                bronchi.position[node] + beside,
                (radius * 0.92, end),
                up,
                rows[up][4] + 1,
                int(bronchi.depth[node]),
            )
        )
    return _tree("artery", rows)
