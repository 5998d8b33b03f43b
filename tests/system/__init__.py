"""What takes more than Python and an S3 server: a browser, AWS, packaging, kill -9."""
