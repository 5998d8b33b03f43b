"""One slide: where it comes from, its identity, and once opened its pixels and metadata."""
