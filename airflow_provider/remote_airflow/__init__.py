"""Airflow tasks on the agents of a remote-server.

Nothing of Airflow is imported here: Airflow imports this package while it is being imported itself.
"""

__version__ = "0.1.0"
