"""Scripts that run in a rival's own Python, one each; nothing imports them."""
