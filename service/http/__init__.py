"""HTTP layer in front of the routes: admission, limits, errors and the OpenAPI document."""
