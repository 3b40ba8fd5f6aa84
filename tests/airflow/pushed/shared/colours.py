"""A module of the bundle."""

COLOUR = "red"
