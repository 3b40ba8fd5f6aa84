"""The store on PostgreSQL: a database with a server, one writer at a time, on a worker thread."""
