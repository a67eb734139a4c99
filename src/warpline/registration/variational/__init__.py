"""The project's own method: a pair without training, by local self-similarity and a velocity.

From a pair to its field: `frame` (one grid about what both show), `start` (affine, from several
places), `search` (discrete displacements where motion is large), `refine` (Gauss-Newton on a
stationary velocity, coarse to fine), `guard` (no folds); `pipeline` is the road through them.
"""
