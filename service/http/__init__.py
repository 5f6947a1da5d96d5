"""What stands between the network and the routes: admission, limits, errors, the OpenAPI document."""
