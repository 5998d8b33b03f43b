"""What tests share: forged slides, servers, a browser, stand-ins."""
