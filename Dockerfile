ARG BASE_IMAGE=debian:trixie-slim

FROM ${BASE_IMAGE} AS system
# As Debian's slim images do, whatever the base: of documentation the licences alone.
RUN printf 'path-%s\n' 'exclude=/usr/share/doc/*' 'include=/usr/share/doc/*/copyright' 'exclude=/usr/share/man/*' \
      >/etc/dpkg/dpkg.cfg.d/slim \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ca-certificates git python3 tini \
 && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/*


FROM system AS pip
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3-pip
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build


# Two lists, so that the wheel that carries claude is downloaded anew when its own pin changes, and only then.
FROM pip AS locks
COPY requirements.lock .
RUN sed -n '/^claude-agent-sdk==/,/^    # via/p' requirements.lock >claude.lock \
 && sed '/^claude-agent-sdk==/,/^    # via/d' requirements.lock >others.lock


FROM pip AS claude
COPY --from=locks /build/claude.lock .
# One time stamp for all, so that the layer is the same wherever and whenever it is built, and is pushed and pulled once.
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
# Prefect's pages are for a server that people open, which this image is none of; without them a server starts as well.
# A run and a worker call these services of AWS alone: signin, sso, sso-oidc and sts are how boto3 finds credentials.
# Compiled code makes a process start in a third of the time, and cannot be written later to a read-only file system.
RUN cd /opt/venv/lib/python3.13/site-packages \
 && rm -rf prefect/server/ui prefect/server/ui-v2 \
 && find botocore/data -mindepth 1 -maxdepth 1 -type d -regextype egrep \
      ! -regex '.*/(bedrock|bedrock-runtime|ec2|ecs|logs|s3|secretsmanager|signin|sqs|sso|sso-oidc|sts)' -exec rm -rf {} + \
 && find . -type d -name tests -prune -exec rm -rf {} + \
 && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash .


FROM pip AS sources
COPY flows flows
COPY blocks blocks
RUN chmod -R u=rwX,go=rX . \
 && python3 -m compileall -q --invalidation-mode unchecked-hash .


FROM system
COPY --from=claude /layer /
COPY --from=venv /opt/venv /opt/venv
# A run without a server starts its own, which takes 15 seconds on two processors, and Prefect waits for 20.
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONPATH=/opt/claude-code-headless \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LANG=C.UTF-8 \
    PREFECT_HOME=/tmp/prefect \
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS=120
WORKDIR /opt/claude-code-headless
COPY --from=sources /build .
# All that is written. A volume, so that it is there, open to all and executable, when the root file system is read-only.
VOLUME /tmp
# ECS overrides the command alone: the init, which reaps and passes signals on, is there in either case.
ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "flows"]
LABEL org.opencontainers.image.title="claude-code-headless" \
      org.opencontainers.image.description="Claude Code, headless, as a Prefect workflow: instructions in, a pushed branch out."
HEALTHCHECK NONE
