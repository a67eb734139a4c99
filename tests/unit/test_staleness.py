"""Which rules run again after an edit: the fewest that can.

An edit changes one definition of a module; a rule runs again if a job of it reaches a definition
whose outline has changed (`warpline.plan.fingerprint`), or if its inputs are made anew.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from warpline.plan import fingerprint
from warpline.plan.experiments import measured, registrations, trainings_of
from warpline.plan.inputs import acquire, cases, described, evaluate, figures, register, train
from warpline.plan.run import Run
from warpline.plan.splits import SEGMENTED, SYNTHETIC, split_and_suffix

ROOT = Path(__file__).parents[2]
PAPERS = ["estienne2020", "bouabid2019", "sokooti2017", "hansen2020", "hu2020"]
# Rules whose jobs all run the same code.
PLAIN = (
    "align", "arena", "atlas", "evaluate", "explore", "explorer", "explorer_paper",
    "fetch", "fetch_cases", "given_weights",
    "judge_labels", "measure_organs", "model", "report", "submission", "tables",
)  # fmt: skip


class Asked(Run):
    """A run that tells what fingerprints are made of instead of the fingerprints."""

    def code(self, script: str | None, *definitions: str) -> tuple[str, ...]:
        return (script, *definitions)


@cache
def jobs() -> dict[str, dict[str, tuple[str | None, ...]]]:
    """Rule to what its jobs differ by to (script, definitions chosen at run time)."""
    run = Asked({"scale": "demo", "papers": PAPERS}, ROOT)
    catalog = run.catalog
    found = [e for paper in PAPERS for e in measured(catalog, paper)]
    registered = {e.method for paper in PAPERS for e in registrations(catalog, paper)}
    trained = {training for paper in PAPERS for training in trainings_of(catalog, paper)}
    named = {d for d, _ in trained} | {e.dataset for e in found}
    members = {m for d in named for m in catalog.dataset(d).spec.get("members", {})}
    datasets = sorted(named | members)
    own = [d for d in datasets if "members" not in catalog.dataset(d).spec]
    aligned = [d for d in own if cases.ready_stage(run, d) == "prealigned"]
    explored = [d for d in own if catalog.dataset(d).spec["explore"]]
    labelled = [d for d in datasets if catalog.dataset(d).spec["noisy_labels"]]
    embeddings = [m for m in registered if catalog.method(m)["kind"] == "embedding"]

    def measures(suffix: str) -> set[str]:
        return {e.method for e in found if split_and_suffix(e.split)[1] == suffix}

    return {name: {"": run.code(f"{name}.py")} for name in PLAIN} | {
        "phantom": {d: acquire.phantom_code(run, d) for d in own},
        "prepare": {d: cases.preparation_code(run, d) for d in own if d not in aligned},
        **{
            rule: {d: described.described_code(run, d, f"{rule}.py") for d in explored}
            for rule in ("describe", "described_atlas")
        },
        "prepare_aligned": {d: cases.aligned_preparation_code(run, d) for d in aligned},
        "noisy_labels": {d: cases.labelling_code(run, d) for d in labelled},
        "train": {m: train.training_code(run, m) for _, m in trained},
        "embed": {m: train.embedding_code(run, m) for m in embeddings},
        "register": {m: register.registration_code(run, m) for m in registered},
        "evaluate_synthetic": {m: evaluate.synthetic_code(run, m) for m in measures(SYNTHETIC)},
        "evaluate_segmentation": {
            m: evaluate.segmentation_code(run, m) for m in measures(SEGMENTED)
        },
        "figures": {
            f"{paper}/{name}": piece["code"]
            for paper in PAPERS
            for explored in (False, True)
            for name, piece in figures.figure_pieces(run, paper, explored).items()
        },
    }


@cache
def reached(code: tuple[str | None, ...]) -> frozenset[tuple[str, str]]:
    script, *chosen = code
    path = script and ROOT / "scripts" / script
    return frozenset(fingerprint.definitions_reached(path, chosen))


def stale(changed: set[tuple[str, str]]) -> dict[str, set[str]]:
    """Rule to those of its jobs that run other code than before."""
    return {
        rule: found
        for rule, codes in jobs().items()
        if (found := {name for name, code in codes.items() if reached(code) & changed})
    }


# Edits ------------------------------------------------------------------------------------------


class Reworded(ast.NodeTransformer):
    """Every text within what is raised or printed, or in calls of the frame, is another one."""

    inside = False

    def generic_visit(self, node):
        called = node.exc if isinstance(node, ast.Raise) else node
        name = getattr(getattr(called, "func", None), "id", "")
        before, self.inside = self.inside, self.inside or isinstance(node, ast.Raise) or name in (
            "print", "WarplineError", "combine", "Progress",
        )  # fmt: skip
        super().generic_visit(node)
        self.inside = before
        return node

    def visit_Constant(self, node):
        if self.inside and isinstance(node.value, str):
            node.value += " (reworded)"
        return node


def edited(node: ast.stmt, kind: str) -> ast.stmt:
    """A definition after an edit."""
    if kind == "value":
        node.value = ast.Tuple([node.value, ast.Constant("edited")], ast.Load())
    elif kind == "docstring":
        assert ast.get_docstring(node), "it has none"
        node.body[0].value.value += "\n\nMore is said."
    elif kind == "message":
        before = ast.dump(node)
        node = Reworded().visit(node)
        assert ast.dump(node) != before, "it says nothing"
    elif kind == "annotation":
        node.returns = ast.Name("object", ast.Load())
    else:
        assert kind == "body"
        node.body.append(ast.parse("edited = 1").body[0])
    return node


def changed_by(module: str, name: str, kind: str, monkeypatch) -> set[tuple[str, str]]:
    """The definitions of a module whose outline an edit of one of them changes."""
    path = ROOT / "src" / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    places = [i for i, node in enumerate(tree.body) if name in defined(node)]
    assert places, f"{module} does not define {name}"
    before = outlines(module, path)
    tree.body[places[0]] = edited(tree.body[places[0]], kind)
    source = ast.unparse(ast.fix_missing_locations(tree)).encode()
    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "_source", lambda _: source)
        after = outlines(module, path)
    assert before.keys() == after.keys()
    return {(module, known) for known in before if before[known] != after[known]}


def defined(node: ast.stmt) -> list[str]:
    return fingerprint._defined(node)


def outlines(module: str, path: Path) -> dict[str, str]:
    parsed = fingerprint._parsed.__wrapped__(path)
    nodes = {**parsed.definitions, "": parsed.statements}
    return {name: fingerprint._code(own, parsed, module).outline for name, own in nodes.items()}


ALL = [""]
ABDOMENS = ["kits19", "msd-", "tcia-pancreas"]
WITH_LUNGS = ["chest", "dirlab", "followup"]
GRADIENT_NETWORKS = {
    "train": ["bouabid2019", "estienne2020-task3-b", "estienne2020-task3-n", "estienne2020-task3-p",
              "estienne2020-task3-sy", "estienne2020-task3-u", "estienne2020-task4"],
    "register": ["bouabid2019", "estienne2020"],
}  # fmt: skip
# Cases that are only described, and an atlas among them.
LOOKED_AT = {"describe": ALL, "described_atlas": ALL}
# Module, definition, edit → rule to the beginnings of the names of the jobs that run other code.
EDITS = [
    # Nothing shapes an output.
    ("cases.lungs", "_segment", "message", {}),
    ("cases.lungs", "segment_lungs", "docstring", {}),
    ("cases.lungs", "segment_lungs", "annotation", {}),
    ("training.loop", "train", "message", {}),
    ("acquire.fetch", "_from_sources", "message", {}),
    ("registration.batch", "register_batch", "message", {}),
    ("errors", "WarplineError", "body", {}),
    ("jobs", "job", "body", {}),
    ("progress", "Progress", "body", {}),
    ("provenance.record", "record", "body", {}),
    ("devices.claim", "claim", "body", {}),
    ("devices.locks", "hold", "body", {}),
    ("plan.kinds", "STEPS", "value", {}),
    ("plan.kinds", "FIGURES", "value", {}),
    # Archives, formats, phantoms.
    ("acquire.tcia", "download_series", "body",
     {"fetch": ALL, "fetch_cases": ALL, "given_weights": ALL, "phantom": ALL}),
    ("acquire.canonical", "canonicalise", "body",
     {"prepare": ALL, "prepare_aligned": ALL, **LOOKED_AT}),
    ("acquire.formats.dirlab", "locate", "body", {"prepare": ["dirlab"]}),
    ("phantoms.providers.kits19", "write_kits19", "body", {"phantom": ["kits19"]}),
    ("phantoms.anatomy.chest.tissue", "make_texture", "body", {"phantom": [*WITH_LUNGS, "luna"]}),
    # Preparation: the datasets that take the step, and recipes that do.
    ("cases.lungs", "segment_lungs", "body", {"prepare": WITH_LUNGS}),
    ("cases.steps.masks", "harmonise", "body", {"prepare_aligned": ABDOMENS}),
    ("cases.steps.geometry", "resize", "body",
     {"prepare": ["luna16"], "train": ["hansen2020"], "embed": ALL, "register": ["hansen2020"],
      **LOOKED_AT}),
    ("cases.exploration", "describe", "body", {"prepare": ["luna16"], **LOOKED_AT}),
    ("cases.atlas", "make_atlas", "body", {"atlas": ALL, "described_atlas": ALL}),
    ("acquire.described", "describe_batch", "body", {"describe": ALL}),
    # Networks and trainings.
    ("networks.hu2020", "Network", "body",
     {"train": ["hu2020"], "register": ["hu2020-landmarks", "hu2020-voxelmorph"]}),
    ("fields.integration", "integrate_gradients", "body", GRADIENT_NETWORKS),
    ("training.losses", "local_ncc", "body",
     {"train": ["estienne2020-task4", "hansen2020-voxelmorph"]}),
    ("training.regularisers", "velocity_prior", "body", {"train": ["hu2020"]}),
    ("training.synthetic", "SyntheticObjective", "body", {"train": ["sokooti2017"]}),
    ("training.loop", "train", "body", {"train": ALL}),
    # Baselines and embeddings.
    ("registration.baselines.syn", "register", "body", {"register": ["syn", "hu2020-syn"]}),
    ("registration.embedding.graph", "diffuse", "body",
     {"register": ["hansen2020-256", "hansen2020-512"]}),
    ("registration.batch", "register_batch", "body", {"register": ALL}),
    # Metrics, tables, figures: nothing is trained or registered.
    ("evaluation.metrics.surface", "surface_distances", "body", {"evaluate": ALL}),
    ("evaluation.metrics.overlap", "dice", "body", {"evaluate": ALL, "evaluate_segmentation": ALL}),
    ("evaluation.pooling", "under_names", "body", {"tables": ALL}),
    ("segmentation.noisy_labels", "verdicts", "body",
     {"judge_labels": ALL, "figures": ["estienne2020/noisy_labels"]}),
    ("tables.render", "to_html", "body", {"tables": ALL, "arena": ALL}),
    ("tables.ranking", "wins", "body", {"arena": ALL}),
    ("figures.boxplots", "draw", "body",
     {"figures": ["estienne2020/abdomen_dice", "estienne2020/dice", "hansen2020/tre",
                  "hu2020/tre"]}),
    ("figures.learning", "learning_curves", "body",
     {"figures": [f"{paper}/learning_curves" for paper in PAPERS]}),
    ("report.page", "render", "body", {"report": ALL}),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name", "kind", "expected"), EDITS)
def test_an_edit_runs_again_the_fewest_rules_that_can(module, name, kind, expected, monkeypatch):
    found = stale(changed_by(f"warpline.{module}", name, kind, monkeypatch))
    wanted = {
        rule: {job for job in jobs()[rule] if job.startswith(tuple(beginnings))}
        for rule, beginnings in expected.items()
    }
    assert found == wanted


def test_an_edit_changes_the_fingerprint_itself(monkeypatch):
    """What is worked out above from definitions, once by the fingerprints that Snakemake sees."""
    code = "warpline.training.losses:local_ncc"
    before = fingerprint.code_version(None, code)
    changed = changed_by("warpline.training.losses", "local_ncc", "body", monkeypatch)
    assert changed == {("warpline.training.losses", "local_ncc")}
    original = fingerprint._definition

    def after(module, name):
        found = original(module, name)
        return fingerprint._Code(f"{found.outline}!", ()) if (module, name) in changed else found

    monkeypatch.setattr(fingerprint, "_definition", after)
    assert fingerprint.code_version(None, code) != before


def test_every_rule_that_runs_code_says_which():
    rules = {}
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        for block in re.split(r"^ *rule\b", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
            if "output:" not in block:  # a target
                continue
            script = re.search(r"scripts/(\w+)\.py", block)[1]
            rules[script] = (
                re.search(r"\bcode=|(registration|cell|search)_settings", block) is not None
            )
    assert all(rules.values()), rules
    # By the codes of both, and by that of the method and of its script.
    known = {*jobs(), "register_and_evaluate", "arena_cell", "tune"}
    assert set(rules) == known


def test_lungs_and_metrics_are_in_few_fingerprints():
    lungs = {("warpline.cases.lungs", "segment_lungs")}
    assert sum(len(found) for found in stale(lungs).values()) <= 7
    for path in (ROOT / "src/warpline/evaluation/metrics").glob("*.py"):
        module = f"warpline.evaluation.metrics.{path.stem}"
        for rule, codes in jobs().items():
            if rule in ("train", "register", "prepare", "fetch"):
                assert not any(m == module for code in codes.values() for m, _ in reached(code))


def test_what_is_looked_up_by_name_is_known():
    """A new place that imports by name needs the plan to name what it imports."""
    found = set()
    for path in sorted((ROOT / "src" / "warpline").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if re.search(r"\blookup\(|\bimport_module\(", text):
            found.add(path.relative_to(ROOT / "src" / "warpline").as_posix())
    assert found == {
        "__init__.py",  # for who imports the library; no job asks it for anything
        "acquire/formats/__init__.py",
        "cases/preparation.py",
        "cases/steps/__init__.py",
        "cli/main.py",  # the commands
        "fields/exchange/__init__.py",  # of the command alone
        "networks/__init__.py",
        "networks/given.py",
        "phantoms/__init__.py",
        "registration/baselines/__init__.py",
        "registration/method.py",
        "registration/rivals/__init__.py",
        "registry.py",
        "training/budget.py",  # counts a network; no job asks it for anything
        "training/objectives.py",
        "training/registration_loss.py",
    }
