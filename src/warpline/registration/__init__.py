"""Every way from a pair to a displacement field."""
