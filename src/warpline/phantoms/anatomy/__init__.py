"""What a body is: generated anatomy with known truth."""
