"""The packages of `make build`, on clean hosts."""
