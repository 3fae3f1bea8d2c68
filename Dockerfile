# Debian, not Alpine: the wheel with the embedded PostgreSQL has no musl build.
FROM node:22-slim AS web
WORKDIR /web
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY web/ ./
RUN npm run build

FROM python:3.12-slim
# PostgreSQL and the server run as a user that has a name.
RUN useradd --create-home --home-dir /srv/steward --uid 10001 steward
WORKDIR /srv/steward
COPY requirements.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md ./
COPY domain/ domain/
COPY persistence/ persistence/
COPY graph/ graph/
COPY migrations/ migrations/
COPY --from=web /web/package-lock.json /web/build.js web/
COPY --from=web /web/src/ web/src/
COPY --from=web /web/dist/ web/dist/
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --editable . \
    && install --directory --owner steward --group steward .steward
USER steward
ENV HOST=0.0.0.0 PORT=8000 PYTHONUNBUFFERED=1
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import os, ssl, urllib.request as r; tls = 's' * bool(os.environ.get('TLS_CERTIFICATE')); \
r.urlopen(f'http{tls}://127.0.0.1:{os.environ[\"PORT\"]}/readyz', timeout=2, \
context=ssl._create_unverified_context() if tls else None)"]
# The exec form: SIGTERM reaches the server itself, which drains and stops.
CMD ["steward", "serve"]
