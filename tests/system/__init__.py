"""What needs more than Python and an S3 server: a browser, stand-ins for AWS, packaging, kill -9."""
