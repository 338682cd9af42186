"""`detector serve`: a page that detects in the visitor's browser, and a small HTTP API."""
