"""How stored logs are shown: where to begin, in which form, and on from there."""
