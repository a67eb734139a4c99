"""FireANTs on two files: affine, then greedy; the field with the affine part, as ANTs has it."""

from measured import main


def start():
    from fireants.io import BatchedImages, Image
    from fireants.registration.affine import AffineRegistration
    from fireants.registration.greedy import GreedyRegistration

    return Image, BatchedImages, AffineRegistration, GreedyRegistration


def register(program, request, folder):
    image, batched, affine, greedy = program
    pair = [
        batched([image.load_file(request[name], device=request["device"])])
        for name in ("fixed", "moving")
    ]
    first = affine(fixed_images=pair[0], moving_images=pair[1], **request["affine"])
    first.optimize()
    second = greedy(
        fixed_images=pair[0],
        moving_images=pair[1],
        init_affine=first.get_affine_matrix().detach(),
        **request["greedy"],
    )
    second.optimize()
    second.save_as_ants_transforms([str(folder / "warp.nii.gz")])


if __name__ == "__main__":
    main(start, register)
