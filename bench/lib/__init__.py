"""What bench/peers and bench/one_core share; each file has one subject."""
