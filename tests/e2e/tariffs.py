"""What a parcel costs: a service of HTTP/1.1 and JSON. Run as `python -m tests.e2e.tariffs PORT`."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

ZONES = {"de": "home", "fr": "near"}


class Tariffs(BaseHTTPRequestHandler):
    """`/tariffs/COUNTRY?grams=N`; of countries it does not know, a 404."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        country = asked.path.rpartition("/")[2]
        zone = ZONES.get(country)
        grams = int(parse_qs(asked.query)["grams"][0])
        told = (
            {"error": f"no tariff for {country}"} if zone is None else {"zone": zone, "cents": 390 + grams // 2}
        )
        body = json.dumps(told).encode()
        self.send_response(404 if zone is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Tariffs) as server:
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        server.serve_forever()
