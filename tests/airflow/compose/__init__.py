"""Airflow's own Compose file with ours beside it, on images that are made here."""
