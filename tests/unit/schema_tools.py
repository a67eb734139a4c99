"""Settings as a method's file leaves them: what a test does not say is the schema's default."""

from pathlib import Path

from warpline.plan.config import read_yaml, validate

SCHEMA = read_yaml(Path(__file__).parents[2] / "workflow/schemas/method.schema.yaml")


def sampling_of(objective: str, **changes) -> dict:
    """``training.sampling`` of a recipe with an objective."""
    training = {"epochs": 1, "objective": objective, "sampling": changes}
    spec = {"title": "t", "kind": "network", "training": training}
    return validate(spec, SCHEMA, "a test")["training"]["sampling"]


def embedding_of(components: int, **changes) -> dict:
    """``embedding`` of a method of that kind."""
    embedding = {"components": components, **changes}
    spec = {"title": "t", "kind": "embedding", "embedding": embedding}
    return validate(spec, SCHEMA, "a test")["embedding"]


def warpline_of(**changes) -> dict:
    """``warpline`` of a method of that kind."""
    spec = {"title": "t", "kind": "warpline", "warpline": changes}
    return validate(spec, SCHEMA, "a test")["warpline"]
