"""The case, and its way from an archive's files to what methods work on."""
