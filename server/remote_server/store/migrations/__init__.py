"""Alembic's home: `env.py` is run by alembic, `versions/` holds one file for each change."""
