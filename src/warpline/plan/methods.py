"""Methods: baselines, recipes, and what makes use of them, by the names of their files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from warpline.errors import WarplineError
from warpline.plan.config import merge
from warpline.plan.loading import ConfigFiles
from warpline.plan.marks import STRENGTH, TUNED, unmarked
from warpline.plan.models import Models, as_trained
from warpline.registry import suggestion

# Kinds of methods that have learned something, or have no settings: there is nothing to search.
LEARNED = ("network", "through_atlas", "embedding", "identity")
NEEDED_KEYS = {
    "network": ("network", "loss", "training"),
    "through_atlas": ("method",),
    "embedding": ("method", "embedding"),
    "warpline": ("warpline",),
}
# What may differ between embeddings of which one is the beginning of the other.
AFTER_THE_SEARCH = ("components", "neighbours", "strength", "temperature", "corrections")


class Methods:
    """The methods, each read when asked for and checked when read."""

    def __init__(self, files: ConfigFiles):
        self.files, self.models = files, Models(files.places)
        self._methods: dict[str, dict[str, Any]] = {}

    def get(self, name: str) -> dict[str, Any]:
        """A method by the name of its file.

        A recipe that leaves out a fold is still the recipe; of a further seed it has that seed.

        Raises
        ------
        WarplineError
            If there is none, or it is not valid.
        """
        name, _, further = unmarked(name)
        if further:
            spec = self.get(name)
            return {**spec, "seed": spec["seed"] + further}
        if name.endswith(TUNED):
            base = name.removesuffix(TUNED)
            spec = self.get(base)
            if self.tune(base) is None:
                raise WarplineError(
                    f"The method '{base}' has nothing to be searched.",
                    where=self.files.told("methods", base),
                    do="Name settings and values under its key 'tune.settings'.",
                )
            return {**spec, "title": f"{spec['title']}, tuned"}
        if STRENGTH in name:
            return self._at_strength(*name.split(STRENGTH, 1))
        if name not in self._methods:
            spec = self.files.load("methods", name, "method")
            model = (spec.get("weights") or {}).get("model")
            if model and spec["kind"] == "network":
                where = f"{self.files.told('methods', name)}, key 'weights.model'"
                spec = as_trained(spec, self.models.card(model, where))
            needed = NEEDED_KEYS.get(spec["kind"], ())
            for key in needed[:1] if spec.get("weights") else needed:
                if key not in spec:
                    raise WarplineError(
                        f"A method of kind '{spec['kind']}' needs the key '{key}'.",
                        where=self.files.told("methods", name),
                    )
            if "method" in spec and self.get(spec["method"])["kind"] != "network":
                raise WarplineError(
                    f"The method '{spec['method']}' is no trained network.",
                    where=f"{self.files.told('methods', name)}, key 'method'",
                )
            if "method" in spec and spec["kind"] == "warpline":
                where = f"{self.files.told('methods', name)}, key 'method'"
                self.check_objective(spec["method"], "segmentation", where)
            self._check_weights(spec, name)
            self._check_initial(spec, name)
            self._check_learned_by(spec, name)
            self._methods[name] = {**spec, "seed": spec["seed"] + self.files.config["seed"]}
        return self._methods[name]

    def tune(self, name: str) -> dict[str, Any] | None:
        """What a search of a method's settings may change, if its file says."""
        name = unmarked(name)[0].removesuffix(TUNED).partition(STRENGTH)[0]
        spec, tune = self.get(name), self.files.tune(name)
        if tune is None:
            return None
        where = f"{self.files.told('methods', name)}, key 'tune.settings'"
        if spec["kind"] in LEARNED:
            raise WarplineError(
                f"Settings of a method of kind '{spec['kind']}' cannot be searched.",
                where=where,
                do="Take the key 'tune' out.",
            )
        known = [f"warpline.{key}" for key in spec.get("warpline", {})]
        for key in tune["settings"]:
            if key.startswith("warpline.") and key not in known:
                raise WarplineError(
                    f"There is no setting '{key}'.", where=where, do=suggestion(key, known)
                )
        return tune

    def _at_strength(self, name: str, value: str) -> dict[str, Any]:
        """A method with another strength of the regularisation that its file names."""
        spec = self.get(name)
        strength = (self.files.arena("methods", name) or {}).get("strength")
        if strength is None or float(value) not in strength["values"]:
            raise WarplineError(
                f"The method '{name}' has no strength {value}.",
                where=f"{self.files.told('methods', name)}, key 'arena.strength'",
            )
        *outer, last = strength["key"].split(".")
        changed: dict[str, Any] = {last: float(value)}
        for key in reversed(outer):
            changed = {key: changed}
        return merge(spec, {"title": f"{spec['title']}, {value}", **changed})

    def _check_weights(self, spec: Mapping[str, Any], name: str) -> None:
        """Refuse weights of what is no network, and an embedding by a network of unknown splits."""
        if spec.get("weights") and spec["kind"] != "network":
            raise WarplineError(
                f"A method of kind '{spec['kind']}' has no weights of its own.",
                where=f"{self.files.told('methods', name)}, key 'weights'",
                do="Give them to the network that it names as 'method'.",
            )
        if spec["kind"] == "embedding" and "training" not in self.get(spec["method"]):
            raise WarplineError(
                f"On which splits an embedding is learned stands under 'training', which the "
                f"network '{spec['method']}' lacks.",
                where=f"{self.files.told('methods', name)}, key 'method'",
                do="Give it 'training' with its splits.",
            )

    def _check_initial(self, spec: Mapping[str, Any], name: str) -> None:
        """Refuse an initial registration that is no baseline, or has one of its own."""
        if spec["initial"] is None:
            return
        where = f"{self.files.told('methods', name)}, key 'initial'"
        if spec["kind"] == "through_atlas":
            raise WarplineError("This method can have no initial registration.", where=where)
        self.files.path("methods", spec["initial"], where)
        initial = self.files.load("methods", spec["initial"], "method")
        if "network" in initial or "method" in initial or initial["initial"] is not None:
            raise WarplineError(
                f"The initial registration '{spec['initial']}' is no baseline of a single step.",
                where=where,
                do="Name one of kind affine or elastix, such as sokooti2017-affine.",
            )

    def _check_learned_by(self, spec: Mapping[str, Any], name: str) -> None:
        """Refuse the embedding of a method that searches otherwise or has too few components."""
        if "learned_by" not in spec:
            return
        where = f"{self.files.told('methods', name)}, key 'learned_by'"
        other = self.get(spec["learned_by"])
        if spec["kind"] != "embedding" or other["kind"] != "embedding" or "learned_by" in other:
            raise WarplineError(
                f"The method '{spec['learned_by']}' learns no embedding that this one could use.",
                where=where,
                do="Both must be of kind embedding, and the other one learn its own.",
            )
        own, theirs = (
            search_settings(s["embedding"]) | {"method": s["method"]} for s in (spec, other)
        )
        different = sorted(key for key in own | theirs if own.get(key) != theirs.get(key))
        if own != theirs:
            raise WarplineError(
                f"The search of '{spec['learned_by']}' is another one: {', '.join(different)}.",
                where=where,
                do="Give both the same values, or take this key out.",
            )
        most, asked = (s["embedding"]["components"] for s in (other, spec))
        if asked > most:
            raise WarplineError(
                f"The embedding of '{spec['learned_by']}' has {most} components, not {asked}.",
                where=where,
                do="Ask for fewer, or take this key out.",
            )

    def check_objective(self, method: str, objective: str, where: str) -> None:
        """Refuse a method that is not trained for `objective`."""
        if self.get(method).get("training", {}).get("objective") != objective:
            raise WarplineError(
                f"The method '{method}' is not trained for '{objective}'.",
                where=where,
                do=f"Name a recipe with 'objective: {objective}'.",
            )


def search_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What an embedding's displacements are searched with."""
    return {key: value for key, value in settings.items() if key not in AFTER_THE_SEARCH}
