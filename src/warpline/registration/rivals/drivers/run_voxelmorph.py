"""VoxelMorph's own network on two arrays of one grid."""

from measured import main


def start():
    import torch
    from voxelmorph.nn.models import VxmPairwise

    return torch, VxmPairwise


def register(program, request, folder):
    import numpy as np

    torch, network = program
    torch.set_num_threads(request["threads"])
    model = network(ndim=3, source_channels=1, target_channels=1, **request["network"])
    model.load_state_dict(torch.load(request["weights"], map_location="cpu", weights_only=True))
    model.eval()
    moving, fixed = (
        torch.from_numpy(np.load(folder / f"{name}.npy"))[None, None]
        for name in ("moving", "fixed")
    )
    with torch.no_grad():
        field = model(moving, fixed)
    np.save(folder / "displacement.npy", np.moveaxis(field[0].detach().numpy(), 0, -1))


if __name__ == "__main__":
    main(start, register)
