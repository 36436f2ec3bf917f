# syntax=docker/dockerfile:1
# slimner as a service: the runtime install and one bundle, nothing that built them.
#   docker build -t slimner .                                    the embedded model
#   docker build -t slimner --build-arg BUNDLE=my-bundle .       a bundle in this directory
# docs/guide/container.md says what is in it, how to run it, and how to name the base by its digest.

ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS build
ARG BASE
ARG BUNDLE=zoo/news_zh/bundle
WORKDIR /build
COPY . .
# The bundle first: its requirements.txt has the versions it was made with, and only such lines reach pip, which would obey
# others (an index, an address). deploy/requirements.txt has them all with their
# hashes, and pip ends when the two differ: nox -s lock -- BUNDLE writes it for a bundle with other versions. The optional
# secrets are for networks with an index or certificates of their own; they stay out of the image.
RUN mkdir /bundle && cp -R "${BUNDLE}/." /bundle/ && chmod -R a+rX,go-w /bundle && touch /constraints.txt \
    && if [ -f /bundle/requirements.txt ]; then grep -E '^[A-Za-z0-9._-]+==[A-Za-z0-9._!+-]+$' /bundle/requirements.txt \
        | grep -v ^slimner= > /constraints.txt; fi
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=certificates \
    python3 -m venv /tools && python3 -m venv --without-pip /opt/slimner \
    && /tools/bin/pip install --no-cache-dir --quiet --require-hashes --only-binary :all: -r deploy/build.txt \
    && /tools/bin/pip wheel --no-cache-dir --quiet --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /tools/bin/pip --python /opt/slimner/bin/python install --no-cache-dir --no-compile --quiet \
        --require-hashes --only-binary :all: --constraint /constraints.txt -r deploy/requirements.txt \
    && /tools/bin/pip --python /opt/slimner/bin/python install --no-cache-dir --no-compile --quiet --no-deps /wheel/*.whl
# Only what serving uses is kept, and what is kept is then shown to answer. The server runs without docstrings (-OO).
RUN python3 deploy/slim.py /opt/slimner \
    && python3 deploy/sbom.py /opt/slimner /bundle "${BASE}" > /opt/slimner/sbom.cdx.json \
    && /opt/slimner/bin/python -m compileall -q -o 0 -o 2 --hardlink-dupes \
        --invalidation-mode unchecked-hash /opt/slimner/lib \
    && /opt/slimner/bin/slimner verify /bundle \
    && PYTHONOPTIMIZE=2 /opt/slimner/bin/slimner verify /bundle

FROM ${BASE}
ARG BASE
LABEL org.opencontainers.image.base.name=${BASE} \
      org.opencontainers.image.licenses=Apache-2.0
COPY --from=build /opt/slimner /opt/slimner
COPY --from=build /bundle /bundle
# /dev/shm is writable even where the root is not: Gunicorn's heartbeats and the shared counters go there. onnxruntime
# is told to report nothing to its makers.
ENV PATH=/opt/slimner/bin:$PATH \
    ORT_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TMPDIR=/dev/shm \
    SLIMNER_BUNDLE=/bundle \
    SLIMNER_HOST=0.0.0.0 \
    SLIMNER_PORT_NUMBER=7860
USER 10001:10001
WORKDIR /
EXPOSE 7860
HEALTHCHECK --interval=15s --timeout=3s --start-period=30s --retries=3 CMD ["python3", "-c", \
    "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['SLIMNER_PORT_NUMBER'] + '/readyz', timeout=2)"]
ENTRYPOINT ["slimner"]
CMD ["serve"]
