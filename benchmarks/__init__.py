"""Re-runnable measurements; each prints a table. None of them is a test."""
