"""gRPC over HTTP/2: messages in a body, statuses, and protobuf as readable data."""
