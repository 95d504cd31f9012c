"""Request fields that never decide a match unless a user says so, each group with its reason.

They say how a message travels, which client sent it or which trace it belongs to, not what it asks for. The
README shows this table. Headers that choose among answers (Accept, Accept-Language, Origin, Range, the
If-* family, Content-Type, X-Requested-With) are not noise, and neither are credentials: those decide by
their tokens. Content-Encoding is noise because bodies are compared decoded; it counts where one cannot be.
"""

GROUPS: dict[str, tuple[str, ...]] = {
    "the connection and the framing, not the message": (
        "host",
        "connection",
        "keep-alive",
        "proxy-connection",
        "content-length",
        "content-encoding",
        "transfer-encoding",
        "te",
        "trailer",
        "expect",
        "upgrade",
        "upgrade-insecure-requests",
        "http2-settings",
        "alt-used",
        "grpc-timeout",
        "grpc-encoding",
        "grpc-accept-encoding",
        "grpc-internal-encoding-request",
        "x-grpc-web",
    ),
    "proxies on the way": (
        "via",
        "forwarded",
        "x-forwarded-*",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "cf-ray",
        "x-envoy-*",
        "max-forwards",
    ),
    "which client asks, and how it would like to be served": (
        "user-agent",
        "x-user-agent",
        "accept-encoding",
        "accept-charset",
        "referer",
        "sec-*",
        "dnt",
        "priority",
        "cache-control",
        "pragma",
        "save-data",
        "device-memory",
        "downlink",
        "ect",
        "rtt",
        "early-data",
        "x-amz-user-agent",
        "amz-sdk-*",
        "x-goog-api-client",
        "x-stainless-*",
    ),
    "tracing": (
        "traceparent",
        "tracestate",
        "baggage",
        "b3",
        "x-b3-*",
        "x-request-id",
        "request-id",
        "x-correlation-id",
        "correlation-id",
        "x-amzn-trace-id",
        "x-cloud-trace-context",
        "grpc-trace-bin",
        "grpc-tags-bin",
        "x-datadog-*",
        "sentry-trace",
        "uber-trace-id",
        "uberctx-*",
        "newrelic",
        "x-newrelic-*",
        "x-ot-span-context",
        "ot-tracer-*",
        "elastic-apm-traceparent",
        "jaeger-*",
        "x-instana-*",
        "x-client-trace-id",
        "x-client-request-id",
        "x-ms-client-request-id",
        "client-request-id",
    ),
    "another value on every attempt": (
        "date",
        "x-amz-date",
        "x-ms-date",
        "idempotency-key",
        "x-idempotency-key",
        "x-retry-count",
        "grpc-previous-rpc-attempts",
        "x-request-start",
        "x-request-timestamp",
        "x-amz-content-sha256",
    ),
}
"""Lower-case header names by the reason why they do not decide; `*` is any run of characters."""

SIGNED_URLS = (
    "X-Amz-Signature",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "X-Goog-Signature",
    "X-Goog-Date",
    "X-Goog-Expires",
    "X-Goog-Credential",
    "Signature",
    "Expires",
)
"""Query names, as they are spelled, of URLs that are signed anew each time they are made.

AWS Signature Version 4 and 2, Google Cloud Storage's V4 and V2, CloudFront. A credential here names a key and
the day; the two plain names are spelled like this by signers alone.
"""

NOISE: tuple[str, ...] = (
    *(f"headers.{name}" for names in GROUPS.values() for name in names),
    *(f"query.{name}" for name in SIGNED_URLS),
)
"""Every one of them as a field path."""
