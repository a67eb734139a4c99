"""The command ``warpline``, one file a subcommand."""
