"""The methods of the Python client, one module for each resource, with the models of the API."""
