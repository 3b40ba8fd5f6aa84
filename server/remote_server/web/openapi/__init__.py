"""The API's own description, OpenAPI 3.1, made from routes and models: it forgets none."""
