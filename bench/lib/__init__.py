"""What the benches share; each file has one subject."""
