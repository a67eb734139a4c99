"""greedy on two files: its affine stage, if it is asked for, and its deformation."""

from measured import main


def start():
    from picsl_greedy import Greedy3D

    return Greedy3D


def register(program, request, folder):
    def levels(iterations):
        return "x".join(map(str, iterations))

    images = f"-i {request['fixed']} {request['moving']}"
    common = f"-d 3 -threads {request['threads']} -m {request['metric']}"
    tool, before = program(), ""
    if request["affine_iterations"]:
        affine = folder / "affine.mat"
        tool.execute(
            f"{common} -a {images} -o {affine} -n {levels(request['affine_iterations'])} "
            "-ia-image-centers"
        )
        before = f"-it {affine} "
    smoothing = f"-s {request['update_sigma']}vox {request['field_sigma']}vox"
    target = folder / "warp.nii.gz"
    tool.execute(
        f"{common} {images} {before}-o {target} -n {levels(request['iterations'])} {smoothing}"
    )


if __name__ == "__main__":
    main(start, register)
