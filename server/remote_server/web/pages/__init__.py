"""The dashboard: pages for people, made on the server from the same queries that the API answers
with. Each module has the pages and the actions of one subject; none of them knows the others."""
