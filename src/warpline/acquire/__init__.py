"""From a dataset's sources to canonical cases: download, unpack, locate, canonicalise."""
