"""Tasks of a real Airflow by our executor and agent, beside its edge3 provider."""
