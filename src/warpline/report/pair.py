"""The page of one registered pair: pictures, numbers, settings, and how sure the method is."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from warpline.evaluation.metrics import sdlogj
from warpline.evaluation.metrics.intensity import correlation
from warpline.evaluation.metrics.jacobian import deviation_of_log, interior
from warpline.figures.pair import panels
from warpline.files import write_text
from warpline.images.grid import Image
from warpline.images.resample import resample_to
from warpline.plan.places import project_folder
from warpline.registration.result import Registration
from warpline.registration.variational.sure import SURE

WHOLE = "the whole images"
TEMPLATE, STYLESHEET = "pair.html.j2", "pair.css"
CAPTIONS = {
    "fixed": "fixed",
    "before": "moving, before",
    "after": "moving, after",
    "board before": "checkerboard, before",
    "board after": "checkerboard, after",
    "grid": "deformed grid",
    "jacobian": "Jacobian determinant",
}
FLIPS = ("before", "after")
# What the project's own method tells of its confidence.
MADE_OF = {
    "likeness": "likeness of the images after the start",
    "overlap": "overlap of what both show",
    "contrast": "lead over other starts",
    "likeness_after": "likeness of the images in the end",
    "strain": "how much the field stretches",
    "likeness_of_shades": "likeness of shades (high: one modality)",
    "order_of_shades": "order of shades (low: two modalities)",
    "repairs": "repairs that took folds out",
    "there_and_back_mm": "there and back, 99 % of voxels, mm",
}


@dataclass(frozen=True)
class Pair:
    """Two images and what was found of them."""

    found: Registration
    fixed: Image
    moving: Image
    fixed_mask: Image | None = None
    moving_mask: Image | None = None

    @cached_property
    def before(self) -> Image:
        """The moving image on the fixed grid, unmoved."""
        return resample_to(self.moving, self.fixed.grid)

    @cached_property
    def after(self) -> Image:
        """The moving image on the fixed grid, as the field brings it there."""
        return self.found.forward.warp_image(self.moving)

    @cached_property
    def within(self) -> tuple[np.ndarray, str]:
        """Where the pair is measured, (z, y, x) on the fixed grid, and what that is.

        In the fixed image's mask; if it has none, in the moving one's, as the field brings it.
        """
        if self.fixed_mask is not None:
            return self.fixed_mask.array != 0, "the mask of the fixed image"
        if self.moving_mask is not None:
            brought = self.found.forward.warp_labels(self.moving_mask, "background").array != 0
            if brought.any():
                return brought, "the mask of the moving image, as the field brings it"
        return np.ones(self.fixed.grid.shape, bool), WHOLE


def measured(pair: Pair, landmarks: tuple[np.ndarray, np.ndarray] | None = None) -> dict[str, Any]:
    """Numbers of a pair, for its record and its page.

    Parameters
    ----------
    landmarks
        Corresponding points, (n, 3) each, mm, LPS.

    Returns
    -------
    dict
        ``measured_within`` in words, and there ``correlation_before`` and ``correlation_after`` of
        the intensities, ``displacement_mean_mm`` and ``displacement_largest_mm``, ``sdlogj`` and
        the determinant's 1st and 99th percentile; ``folds`` of the whole field; with landmarks
        ``tre_before_mm`` and ``tre_after_mm``, their mean distances.
    """
    found = pair.found
    vectors = found.forward.vectors
    length = np.sqrt(np.einsum("zyxc,zyxc->zyx", vectors, vectors))
    within, words = pair.within
    whole = words == WHOLE
    determinant = found.determinant
    inner = interior(determinant)
    if not whole:
        length, inner = length[within], inner[interior(within[1:-1, 1:-1, 1:-1])]
    inner = inner if inner.size else determinant
    told: dict[str, Any] = {
        "measured_within": words,
        "correlation_before": _correlation(pair.fixed, pair.before, within),
        "correlation_after": _correlation(pair.fixed, pair.after, within),
        "displacement_mean_mm": float(length.mean()),
        "displacement_largest_mm": float(length.max()),
        "folds": found.folds,
        "folds_of_the_inverse": int((found.backward.jacobian_determinant() <= 0).sum()),
    }
    if inner.size:
        low, high = np.percentile(inner, (1, 99))
        told |= {
            "sdlogj": sdlogj(determinant) if whole else deviation_of_log(inner),
            "jacobian_1_percent": float(low),
            "jacobian_99_percent": float(high),
        }
    if landmarks is not None:
        ours, theirs = landmarks
        moved = found.forward.transform_points(ours, order=1)
        told["tre_before_mm"] = float(np.linalg.norm(ours - theirs, axis=1).mean())
        told["tre_after_mm"] = float(np.linalg.norm(moved - theirs, axis=1).mean())
        told["landmarks"] = len(ours)
    return told


def _correlation(fixed: Image, other: Image, within: np.ndarray) -> float | None:
    known = within & np.isfinite(fixed.array) & np.isfinite(other.array)
    if known.sum() < 2:
        return None
    value = float(correlation(fixed.array[known], other.array[known]))
    return value if np.isfinite(value) else None


@dataclass(frozen=True)
class Page:
    """What the template shows; each a word or a row of words."""

    title: str
    fixed: str
    moving: str
    folder: str
    verdict: Mapping[str, str]
    numbers: Sequence[Mapping[str, str]]
    within: str
    planes: Mapping[str, Mapping[str, Mapping[str, Any]]]
    captions: Mapping[str, str]
    flips: Sequence[str]
    sure: Sequence[str]
    told: Sequence[tuple[str, str]]
    settings: Sequence[tuple[str, str]]
    said: Sequence[str]


def write_page(
    path: str | os.PathLike,
    pair: Pair,
    told: Mapping[str, Any],
    said: Sequence[str] = (),
) -> None:
    """Write the page of a pair, a file that needs no other one.

    Parameters
    ----------
    told
        The pair's record: ``fixed``, ``moving`` (names), ``method``, ``title``, ``seconds``,
        ``device``, ``settings``, what the method tells, and what `measured` gives.
    said
        What was assumed or done on the way, a sentence each.
    """
    determinant = np.pad(pair.found.determinant, 1, mode="edge")
    planes: dict[str, dict[str, Any]] = {}
    for panel in panels(pair.fixed, pair.before, pair.after, pair.found.forward, determinant):
        source = "data:image/png;base64," + base64.b64encode(panel.png).decode()
        part = {"source": source, "aspect": panel.aspect}
        planes.setdefault(panel.plane, {})[panel.kind] = part
    page = Page(
        title=str(told["title"]),
        fixed=Path(str(told["fixed"])).name,
        moving=Path(str(told["moving"])).name,
        folder=Path(path).parent.name,
        verdict=_verdict(told),
        numbers=list(_numbers(told)),
        within="" if told["measured_within"] == WHOLE else str(told["measured_within"]),
        planes=planes,
        captions=CAPTIONS,
        flips=FLIPS,
        sure=_how_sure(told),
        told=[(name, _number(told[key])) for key, name in MADE_OF.items() if key in told],
        settings=list(_settings(told)),
        said=said,
    )
    folder = project_folder() / "workflow" / "report"
    environment = Environment(
        loader=FileSystemLoader(folder), undefined=StrictUndefined, autoescape=True
    )
    style = Markup((folder / STYLESHEET).read_text(encoding="utf-8"))
    write_text(path, environment.get_template(TEMPLATE).render(page=page, style=style))


def is_sure(told: Mapping[str, Any]) -> bool | None:
    """Whether the method is sure that both images show the same; None if it does not tell."""
    return None if "confidence" not in told else float(told["confidence"]) >= SURE


def _verdict(told: Mapping[str, Any]) -> dict[str, str]:
    sure, folds = is_sure(told), int(told["folds"])
    why = f"{folds} voxels fold." if folds else "No voxel folds."
    if sure is None:
        return {
            "level": "",
            "word": "Done.",
            "why": f"{why} This method does not say how sure it is.",
        }
    why = f"Confidence {float(told['confidence']):.2f}. {why}"
    if sure and not folds:
        return {"level": "good", "word": "Brought together.", "why": why}
    return {"level": "doubt", "word": "Look before you use it.", "why": why}


def _numbers(told: Mapping[str, Any]) -> list[dict[str, str]]:
    """The large figures, the most telling first."""
    found = []

    def add(value: str, name: str, note: str = "") -> None:
        found.append({"value": value, "name": name, "note": note})

    if "tre_after_mm" in told:
        before, number = _number(told["tre_before_mm"]), told["landmarks"]
        add(
            f"{_number(told['tre_after_mm'])} mm",
            "landmarks apart",
            f"{before} mm before, n = {number}",
        )
    add(
        _number(told["correlation_after"]),
        "correlation of shades",
        f"{_number(told['correlation_before'])} before",
    )
    largest = _number(told["displacement_largest_mm"])
    add(f"{_number(told['displacement_mean_mm'])} mm", "mean displacement", f"at most {largest} mm")
    add(str(told["folds"]), "folds", f"{told['folds_of_the_inverse']} on the way back")
    if "sdlogj" in told:
        low, high = (_number(told[f"jacobian_{n}_percent"]) for n in (1, 99))
        add(_number(told["sdlogj"]), "SD log J", f"J from {low} to {high} (1 to 99 %)")
    add(f"{float(told['seconds']):.1f} s", "to register", str(told["device"]))
    return found


def _how_sure(told: Mapping[str, Any]) -> list[str]:
    sure = is_sure(told)
    if sure is None:
        return [
            f"The method '{told['method']}' tells nothing of how sure it is. Look at the "
            "checkerboards, and measure landmarks or label maps by 'warpline evaluate'."
        ]
    return [
        f"The confidence {float(told['confidence']):.2f} says how likely it is that the images "
        "were brought to the same place, within 5 mm: by how alike they are before and after the "
        "deformation, and how much that stretches. It was fitted on generated chests of one "
        f"patient each; sure is called what has {SURE:g} or more. Of two people it is mostly less. "
        "How exact the result is, it does not tell: measure landmarks or label maps by 'warpline "
        "evaluate'."
    ]


def _settings(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [("method", str(told["method"])), ("device", str(told["device"]))]
    rows += [(name, str(value)) for name, value in (told.get("settings") or {}).items()]
    rows += [("fixed", str(told["fixed"])), ("moving", str(told["moving"]))]
    stages = told.get("stages") or {}
    return rows + [(f"seconds, {name}", f"{s:.1f}") for name, s in stages.items()]


def _number(value: Any) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.3g}"
