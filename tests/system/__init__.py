"""What needs more than an S3 server: a browser, stand-ins for AWS, packaging, kill -9."""
