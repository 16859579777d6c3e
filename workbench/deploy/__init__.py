"""From a package to an endpoint: requests as plain dictionaries, to review, to render, to send."""
