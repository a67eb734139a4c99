"""How a result came to be."""
