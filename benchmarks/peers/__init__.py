"""Programs that run what others make, in environments of their own, for side-by-side figures."""
