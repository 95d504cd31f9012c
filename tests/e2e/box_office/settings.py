"""Of the box office: DB_PORT, CACHE_PORT and TARIFFS_PORT say where its dependencies are.

DB_DRIVER is `psycopg2`, or `psycopg`, both of which write values into statements; `bound` is the latter sending
them apart.
"""

import os
import sys

if os.environ["DB_DRIVER"] == "psycopg2":
    sys.modules["psycopg"] = None  # type: ignore[assignment]  # Django takes the newer one where it finds it

SECRET_KEY = "of no use here"
INSTALLED_APPS = ["tests.e2e.box_office"]
ROOT_URLCONF = "tests.e2e.box_office.views"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": os.environ["DB_PORT"],
        "USER": "postgres",
        "NAME": "postgres",
        "OPTIONS": {"server_side_binding": True} if os.environ["DB_DRIVER"] == "bound" else {},
    }
}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": f"redis://127.0.0.1:{os.environ['CACHE_PORT']}/1",
        "KEY_PREFIX": "box",
    }
}
