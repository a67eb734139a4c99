"""convexAdam on two arrays of one grid."""

from measured import main


def start():
    import torch
    from convexAdam.convex_adam_MIND import convex_adam_pt

    return torch, convex_adam_pt


def register(program, request, folder):
    import numpy as np

    torch, convex_adam_pt = program
    torch.set_num_threads(request["threads"])
    torch.manual_seed(request["seed"])
    fixed, moving = (torch.from_numpy(np.load(folder / f"{n}.npy")) for n in ("fixed", "moving"))
    found = convex_adam_pt(
        fixed, moving, dtype=torch.float32, device=torch.device("cpu"), **request["parameters"]
    )
    np.save(folder / "displacement.npy", np.asarray(found, np.float32))


if __name__ == "__main__":
    main(start, register)
