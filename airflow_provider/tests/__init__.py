"""Units of the provider, on the base class of the Airflow that is installed beside it."""
