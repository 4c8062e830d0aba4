# Stands in for the official PostgreSQL image: the same variables, paths and user id.
ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE}

# The id of the official image, so that a volume can move from one to the other.
RUN groupadd --gid=999 postgres \
    && useradd --uid=999 --gid=postgres --home-dir=/var/lib/postgresql postgres \
    && mkdir /etc/postgresql-common \
    && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf \
    && apt-get -o Acquire::Check-Date=false -o Acquire::Check-Valid-Until=false update \
    && DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends postgresql-15 \
    && rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/share/locale/* \
    && install --directory --owner=postgres --group=postgres --mode=1777 /var/lib/postgresql/data

ENV PATH=/usr/lib/postgresql/15/bin:$PATH \
    LANG=C.UTF-8 \
    PGDATA=/var/lib/postgresql/data
VOLUME /var/lib/postgresql/data
COPY postgres_entrypoint /usr/local/bin/docker-entrypoint.sh
EXPOSE 5432
STOPSIGNAL SIGINT
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
