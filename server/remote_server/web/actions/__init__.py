"""What users do, beyond one call of the store: the API and the pages share it."""
