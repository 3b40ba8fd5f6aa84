"""Whether a server can be reached, and what is in the way: the live checks of both doctors."""
