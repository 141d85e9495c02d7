"""Django's settings. What an operator may change is in `portal.env`."""

from typing import Any

import dj_database_url
from django.templatetags.static import static

from portal import env, log, mail, oidc

ENV = env.read()
BASE_DIR = env.ROOT
STATE_DIR = ENV.state_dir.resolve()

SECRET_KEY = (
    ENV.secret_key.get_secret_value()
    if ENV.secret_key
    else env.stored_key(STATE_DIR / "secret_key", size=48)  # 64 characters: Django wants 50
)
ENCRYPTION_KEYS = [key.get_secret_value() for key in ENV.encryption_keys] or [
    env.stored_key(STATE_DIR / "encryption_key")
]
DEBUG = ENV.debug
ALLOWED_HOSTS = ENV.allowed_hosts

INSTALLED_APPS = [
    # Its own configuration would put its own site in the place of ours.
    "unfold.apps.BasicAppConfig",
    "streams.apps.OperatorsSiteConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "streams.apps.StreamsConfig",
]

# Every one of these is async-capable (a test holds us to it): a synchronous one would keep a
# thread for as long as a download streams. `portal.middleware` says why some are our own.
MIDDLEWARE = [
    "portal.middleware.RequestId",
    "portal.middleware.Security",
    "streams.middleware.browser_policies",
    "streams.middleware.audit_source",
    "portal.middleware.Session",
    "portal.middleware.Locale",
    "portal.middleware.Common",
    "portal.middleware.Csrf",
    "streams.middleware.Authentication",
    "allauth.account.middleware.AccountMiddleware",
    "portal.middleware.Messages",
    "portal.middleware.XFrameOptions",
    "portal.middleware.DatabaseAway",
]
MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"

ROOT_URLCONF = "portal.urls"
ASGI_APPLICATION = "portal.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {
    "default": dj_database_url.parse(
        ENV.database_url.get_secret_value()
        if ENV.database_url
        else f"sqlite:///{env.private(STATE_DIR / 'spillway.sqlite3')}",
    )
}
# For the threads that live on; a request's own thread closes its connection with it.
DATABASES["default"] |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        # A deferred transaction that turns from reading to writing fails at once when another
        # writer was first; an immediate one waits its turn.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    # A server whose machine has vanished refuses nothing: by default one would wait for minutes to
    # connect (in seconds), and a quarter of an hour for an answer (in milliseconds).
    DATABASES["default"]["OPTIONS"] = {
        "connect_timeout": 5,
        "tcp_user_timeout": 15_000,
        **DATABASES["default"].get("OPTIONS", {}),
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "streams.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "catalogue"
LOGOUT_REDIRECT_URL = "login"

# Limits of sign-in, and which one-time codes were used: all processes share them.
CACHES = {
    "default": {
        "BACKEND": "portal.cache.Forgiving",
        "LOCATION": ENV.redis_url.get_secret_value(),
    }
    if ENV.redis_url
    else {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "streams_cache",
        # With the default of 300, a stranger could push limits out by asking for many others.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    },
    # What is looked at again and again, for a second or two.
    "process": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
}

# Accounts (docs/accounts.md). Nobody makes one for themselves, and an e-mail address is optional.
ACCOUNT_ADAPTER = "streams.accounts.adapters.AccountAdapter"
ACCOUNT_FORMS = {
    "change_password": "streams.accounts.forms.ChangePasswordForm",
    "login": "streams.accounts.forms.SignInForm",
    "reauthenticate": "streams.accounts.forms.ReauthenticateForm",
    "reset_password": "streams.accounts.forms.ResetPasswordForm",
}
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_SUBJECT_PREFIX = "Spillway: "
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_REAUTHENTICATION_METHODS = ["password", "mfa"]
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*", "password2*"]
MFA_ADAPTER = "streams.accounts.adapters.MfaAdapter"
MFA_FORMS = {
    "authenticate": "streams.accounts.forms.SecondFactorForm",
    "reauthenticate": "streams.accounts.forms.SecondFactorAgainForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Spillway"
# Clocks of phones go wrong by some seconds.
MFA_TOTP_TOLERANCE = 1
MFA_RECOVERY_CODES_SHOW_ONCE = True
# Browsers offer passkeys over https, and to localhost, where the portal is tried out.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not ENV.https
SOCIALACCOUNT_ADAPTER = "streams.accounts.adapters.SocialAdapter"
SOCIALACCOUNT_PROVIDERS = oidc.as_allauth(ENV.oidc_providers)
TOKEN_MAX_LIFE = ENV.token_max_life
KEEP_DOWNLOADS = ENV.keep_downloads

LANGUAGE_CODE = ENV.language
LANGUAGES = list(env.LANGUAGES.items())
# The second has what packages leave untranslated, or say in a tone that is not ours.
LOCALE_PATHS = [BASE_DIR / "locale", BASE_DIR / "locale" / "packages"]
LANGUAGE_COOKIE_NAME = "language"
LANGUAGE_COOKIE_AGE = 31_536_000
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = STATE_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    }
}

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
# Django looks for its own three by name; ours are subclasses of them (`portal.middleware`).
SILENCED_SYSTEM_CHECKS = ["security.W001", "security.W002", "security.W003"]
if ENV.https:
    # TLS ends at a proxy in front, which must overwrite X-Forwarded-Proto.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
    SECURE_HSTS_SECONDS = 31_536_000
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = True
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_NAME = "__Host-csrftoken"
    LANGUAGE_COOKIE_NAME = "__Host-language"

PRIVATE_ORIGINS = ENV.private_origins
# Known to nginx and to nobody else: who shows it is told how to reach an origin. Empty: no nginx.
OFFLOAD_KEY = ""
if ENV.offload == "nginx":
    OFFLOAD_KEY = (
        ENV.offload_key.get_secret_value()
        if ENV.offload_key
        else env.stored_key(STATE_DIR / "offload_key")
    )
# Empty: this machine itself may read the metrics, and nobody else.
METRICS_TOKEN = ENV.metrics_token.get_secret_value() if ENV.metrics_token else ""
TICK = ENV.tick
HEAD_TIMEOUT = ENV.head_timeout
IDLE_TIMEOUT = ENV.idle_timeout
CLIENT_TIMEOUT = ENV.client_timeout
DRAIN_TIMEOUT = ENV.drain_timeout
USER_CONCURRENT = ENV.user_concurrent
USER_BYTES_PER_SECOND = ENV.user_bytes_per_second
USER_DAILY_BYTES = ENV.user_daily_bytes
SEGMENT_MEMORY = ENV.segment_memory
ROTATION_SETTLE = ENV.rotation_settle
ROTATION_PROPAGATION = ENV.rotation_propagation
ROTATION_DRAIN = ENV.rotation_drain
ROTATION_CONSUMERS = ENV.rotation_consumers
ROTATION_LEASE = ENV.rotation_lease
ROTATION_HOLD = ENV.rotation_hold
DRIFT_EVERY = ENV.drift_every
DOCTOR_EVERY = ENV.doctor_every
CONTACT = ENV.contact
# In notices, which no request leads to; without it they bear no links.
BASE_URL = ENV.base_url or ""

# No host: there is no mail server, which channels of that kind then say.
_mail = mail.parse(ENV.email_url.get_secret_value()) if ENV.email_url else mail.MailServer("", 25)
EMAIL_HOST, EMAIL_PORT = _mail.host, _mail.port
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail.user, _mail.password
EMAIL_USE_SSL, EMAIL_USE_TLS = _mail.tls, _mail.starttls
DEFAULT_FROM_EMAIL = ENV.email_from or ""

# Tasks take ids, may run twice and may be lost with the broker; the tick finds what is due.
CELERY_BROKER_URL = (
    ENV.broker_url.get_secret_value() if ENV.broker_url else "filesystem://localhost"
)
CELERY_BROKER_TRANSPORT: str | None = None
# A worker waits for its broker for as long as it takes.
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"
CELERY_BEAT_SCHEDULE = {"tick": {"task": "streams.tasks.advance_due", "schedule": ENV.tick}}
CELERY_BEAT_SCHEDULE_FILENAME = str(STATE_DIR / "scheduler")
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
# Whoever sends a message does not: by default it would try for ever.
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.5,
    "interval_max": 0.5,
}
if CELERY_BROKER_URL.startswith("redis"):
    # Those of AMQP are the connection's own.
    CELERY_BROKER_TRANSPORT_OPTIONS |= {"socket_connect_timeout": 4, "socket_timeout": 5}
if CELERY_BROKER_URL.startswith("sqs:"):
    from portal import sqs

    CELERY_BROKER_TRANSPORT = "portal.sqs:Transport"
    CELERY_BROKER_TRANSPORT_OPTIONS |= sqs.options(CELERY_BROKER_URL)
    # Its account and region are those that boto3 finds.
    CELERY_BROKER_URL = "sqs://"
if CELERY_BROKER_URL.startswith("filesystem:"):
    # The embedded broker: one folder, which sender and worker share.
    CELERY_BROKER_TRANSPORT = "portal.broker:Transport"
    CELERY_BROKER_TRANSPORT_OPTIONS |= {
        "data_folder_in": str(STATE_DIR / "broker"),
        "polling_interval": 0.2,
    }

LOGGING_CONFIG = None
log.configure(ENV.log_level or ("debug" if DEBUG else "info"))

UNFOLD = {
    "SITE_TITLE": "Spillway",
    "SITE_HEADER": "Spillway",
    "SITE_URL": "/",
    "SHOW_LANGUAGES": True,
    "STYLES": [lambda request: static("spillway/operate.css")],
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("spillway/icon.svg"),
        }
    ],
}
