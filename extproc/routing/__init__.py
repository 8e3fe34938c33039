"""The decision and its story: from a request's head to a route and a reason."""
