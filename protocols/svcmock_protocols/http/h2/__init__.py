"""HTTP/2 (RFC 9113): header compression, frames, and the serving of its streams."""
