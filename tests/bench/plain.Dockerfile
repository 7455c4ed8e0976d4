# The image that one would write for the plain pipeline. `make bench` builds it to compare the sizes of the images.
ARG BASE_IMAGE=debian:trixie-slim
FROM ${BASE_IMAGE}
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ca-certificates git nodejs npm awscli \
 && rm -rf /var/lib/apt/lists/*
RUN --mount=type=secret,id=npmrc \
    NPM_CONFIG_USERCONFIG=/run/secrets/npmrc npm install --global @anthropic-ai/claude-code@2.1.332 && npm cache clean --force
