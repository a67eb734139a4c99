"""Every path of a run's results, once.

A part of a path may be a name, or a wildcard of Snakemake's such as ``{dataset}``.
"""

from __future__ import annotations

from dataclasses import dataclass

from warpline.plan.pairs import ATLAS

TABLE_FORMATS = ("csv", "md", "tex", "html")
FIGURE_FORMATS = ("png", "svg")
LEARNING_CURVES = "learning_curves"
RATES = "rates.yaml"


@dataclass(frozen=True)
class Layout:
    """Paths below the folder of results.

    Attributes
    ----------
    results
        The folder, relative to where Snakemake runs or absolute.
    """

    results: str

    def log(self, job: str) -> str:
        """The log of a job, by its rule and wildcards."""
        return f"{self.results}/logs/{job}.log"

    def benchmark(self, job: str) -> str:
        """Seconds and memory of a job."""
        return f"{self.results}/benchmarks/{job}.tsv"

    @property
    def rates(self) -> str:
        """What was measured of this machine, see `warpline.plan.rates`."""
        return f"{self.results}/{RATES}"

    # Archives ---------------------------------------------------------------------------------

    def mirror(self, dataset: str) -> str:
        """Where a phantom's archives are written, as a provider's server would hold them."""
        return f"{self.results}/phantom/{dataset}/mirror"

    def phantom_archives(self, dataset: str) -> str:
        """Where a phantom's archives are downloaded to: they are part of the results."""
        return f"{self.results}/phantom/{dataset}/archives"

    def phantom_unpacked(self, dataset: str) -> str:
        """The files of all of a phantom's archives, apart from those that real ones have."""
        return f"{self.results}/phantom/{dataset}/unpacked"

    def fetched(self, dataset: str, batch: str) -> str:
        """The digests of the files that a batch's cases have for themselves."""
        return f"{self.results}/data/{dataset}/fetched/{batch}"

    def unpacked(self, dataset: str, archive: str = "") -> str:
        """An archive's files, or the folder of all the dataset's archives."""
        return f"{self.results}/data/{dataset}/unpacked" + (f"/{archive}" if archive else "")

    # Cases ------------------------------------------------------------------------------------

    def batch(self, dataset: str, stage: str, batch: str) -> str:
        """A folder of cases at a stage: prepared, aligned, prealigned, labelled."""
        if batch == ATLAS:
            return self.atlas(dataset)
        return f"{self.results}/data/{dataset}/{stage}/{batch}"

    def atlas(self, dataset: str) -> str:
        """The folder that holds the dataset's atlas, a case of its own."""
        return f"{self.results}/data/{dataset}/atlas"

    def exploration(self, dataset: str) -> str:
        """What was measured of every case while it was prepared."""
        return f"{self.results}/data/{dataset}/exploration.parquet"

    def slices(self, dataset: str) -> str:
        """A few slices of every case."""
        return f"{self.results}/data/{dataset}/slices.npz"

    def organs(self, dataset: str) -> str:
        """Size and place of the annotated organs that noisy labels are judged by."""
        return f"{self.results}/data/{dataset}/organs.csv"

    def noisy_labels(self, dataset: str) -> str:
        """What was found of every predicted organ, and why it was kept or not."""
        return f"{self.results}/data/{dataset}/noisy_labels.csv"

    def verdicts(self, dataset: str) -> str:
        """Which cases with noisy labels are fit for training."""
        return f"{self.results}/data/{dataset}/verdicts.csv"

    # Methods ----------------------------------------------------------------------------------

    def model(self, dataset: str, method: str, name: str) -> str:
        """A file of a trained method: weights, history, description, embedding."""
        return f"{self.results}/models/{dataset}/{method}/{name}"

    def weights(self, dataset: str, method: str) -> str:
        """The weights of a trained method."""
        return self.model(dataset, method, "weights.safetensors")

    def given_weights(self, method: str) -> str:
        """The weights of a method that were trained elsewhere."""
        return f"{self.results}/weights/{method}/weights.safetensors"

    def given_sidecar(self, method: str) -> str:
        """Where they came from."""
        return f"{self.results}/weights/{method}/model.json"

    def tuned(self, dataset: str, method: str) -> str:
        """The settings that were found for a method on a dataset, and all that was tried."""
        return f"{self.results}/tuned/{dataset}/{method}.json"

    def embedding(self, dataset: str, method: str) -> str:
        """What a method of kind embedding has learned."""
        return self.model(dataset, method, "embedding.safetensors")

    def sidecar(self, dataset: str, method: str) -> str:
        """How a method was trained."""
        return self.model(dataset, method, "model.json")

    def history(self, dataset: str, method: str) -> str:
        """A training's losses, an epoch a line."""
        return self.model(dataset, method, "history.csv")

    def state(self, dataset: str, method: str, key: str) -> str:
        """A training's checkpoints; outside the declared outputs, so that a failure keeps them."""
        return f"{self.results}/state/{dataset}/{method}/{key}"

    @property
    def cache(self) -> str:
        """Data of trainings that do not fit into memory; may be deleted when none runs."""
        return f"{self.results}/cache"

    def fields(self, dataset: str, method: str, split: str, batch: str) -> str:
        """The displacement fields of a batch of pairs."""
        return f"{self.results}/fields/{dataset}/{method}/{split}/{batch}"

    def records(self, dataset: str, method: str, split: str) -> str:
        """The tidy records of an experiment."""
        return f"{self.results}/records/{dataset}/{method}/{split}.parquet"

    def whole_records(self, dataset: str, method: str, split: str) -> str:
        """The tidy records of an experiment that one job registers and measures."""
        return f"{self.results}/records/{dataset}/{method}/{split}/whole.parquet"

    def submission(self, dataset: str, method: str, split: str) -> str:
        """An experiment's fields as Learn2Reg takes them."""
        return f"{self.results}/submissions/{dataset}/{method}/{split}.zip"

    # Arena ------------------------------------------------------------------------------------

    def arena_cell(self, dataset: str, method: str, split: str) -> str:
        """The tidy records of a method on a dataset, its failures among them."""
        return f"{self.results}/arena/cells/{dataset}/{method}/{split}.parquet"

    def arena_fields(self, dataset: str, method: str, split: str) -> str:
        """The fields of these pairs."""
        return f"{self.results}/arena/fields/{dataset}/{method}/{split}"

    def arena(self, name: str) -> str:
        """A file of the arena as a whole."""
        return f"{self.results}/arena/{name}"

    # Papers -----------------------------------------------------------------------------------

    def paper_records(self, paper: str) -> str:
        """The records of all of a paper's experiments."""
        return f"{self.results}/{paper}/records.parquet"

    def claims(self, paper: str) -> str:
        """What came of a paper's claims in this run."""
        return f"{self.results}/{paper}/claims.json"

    def table(self, paper: str, table: str, suffix: str) -> str:
        """A table in one format."""
        return f"{self.results}/{paper}/tables/{table}.{suffix}"

    def figure(self, paper: str, figure: str, suffix: str) -> str:
        """A figure in one format."""
        return f"{self.results}/{paper}/figures/{figure}.{suffix}"

    def memory(self, paper: str, kind: str) -> str:
        """What a paper's tables or figures were made from, so that only what changed is redone."""
        return f"{self.results}/state/{paper}/{kind}.json"

    @property
    def report(self) -> str:
        """The page of all tables and figures."""
        return f"{self.results}/report.html"

    @property
    def explorer(self) -> str:
        """The page to look through the results."""
        return f"{self.results}/explorer/index.html"

    def explored_paper(self, paper: str) -> str:
        """What the explorer shows of a paper."""
        return f"{self.results}/explorer/{paper}"
