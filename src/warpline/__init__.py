"""Deformable medical image registration: five papers, one workflow."""

__version__ = "0.1.0"

# Imported when asked for: torch alone takes two seconds.
_PUBLIC = {
    "Grid": "warpline.images.grid",
    "Registration": "warpline.registration.result",
    "apply": "warpline.registration.call",
    "evaluate": "warpline.evaluation.call",
    "read_transform": "warpline.registration.call",
    "register": "warpline.registration.call",
}


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'warpline' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
