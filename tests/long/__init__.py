"""What needs longer than `make test`: `make test-long PART=…`."""
