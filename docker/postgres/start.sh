#!/bin/sh
# Starts PostgreSQL with TLS. It wants its key to be readable by nobody else, and a secret is readable in its container.
set -eu
install -m 0600 /run/secrets/postgres.key /tmp/postgres.key
exec docker-entrypoint.sh postgres "$@" \
    -c ssl=on -c ssl_cert_file=/run/secrets/postgres.pem -c ssl_key_file=/tmp/postgres.key \
    -c hba_file=/etc/gridpatrol/postgres/pg_hba.conf
