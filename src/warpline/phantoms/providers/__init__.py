"""How archives look, as their providers pack them; file names as in `warpline.acquire.formats`."""
